"""Terms: sampled sign bits, grouped into bands.

A band is a fixed sequence of sampled bit positions. The first k of them, read as an integer, are
the term of a signature in that band (bit sampling: Indyk and Motwani 1998). A segment may use any
k up to the width, so a term of k bits is a prefix of the term of k + 1 bits (as in an LSH forest:
Bawa, Condie and Ganesan 2005), and segments of different sizes share the same bands.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
import numpy.typing as npt

from neardup.index.store import SIGNATURE_BYTES

MAX_WIDTH = 32


@dataclass(frozen=True)
class Bands:
    """``count`` bands of ``width`` positions among ``n_bits``, the same for the same ``seed``.

    128 bands of 24 positions are 3,072 samples of 1,024 bits: bands share bits, three bands each
    bit on average. More bands than n_bits / k is what reaches distant links with long terms.
    """

    n_bits: int = 8 * SIGNATURE_BYTES
    count: int = 128
    width: int = 24
    seed: int = 2018

    def __post_init__(self) -> None:
        if not 1 <= self.width <= min(self.n_bits, MAX_WIDTH):
            raise ValueError(f"width {self.width} is not in 1..{min(self.n_bits, MAX_WIDTH)}")
        if self.count < 1 or self.n_bits % 8:
            raise ValueError(f"{self.count} bands of {self.n_bits} bits: need >= 1 and whole bytes")

    @cached_property
    def bits(self) -> npt.NDArray[np.int16]:
        """Sampled positions int16 [count, width], distinct within a band.

        Dealt like cards, one to each band in turn from a shuffled deck of all positions, a new deck
        when none is left: so the first k columns use all bits equally often, within one. At k = 13
        that misses .0061 of the links where independent samples miss .0071 (three seeds each).
        """
        shuffles = _shuffles(self.n_bits, self.seed)
        dealt: list[list[int]] = [[] for _ in range(self.count)]
        deck = next(shuffles)
        for _ in range(self.width):
            for band in dealt:
                while (card := next((bit for bit in deck if bit not in band), None)) is None:
                    deck += next(shuffles)
                deck.remove(card)
                band.append(card)
        return np.array(dealt, np.int16)

    def terms(self, signatures: npt.NDArray[np.uint8], k: int) -> npt.NDArray[np.uint32]:
        """The term of each signature in each band, uint32 [count, n]; signatures uint8 [n, B]."""
        return terms_of(signatures, self.bits[:, :k])


def _shuffles(n: int, seed: int) -> Iterator[list[int]]:
    """Permutations of 0..n-1 without end.

    Raw words of PCG64 are sorted, because numpy keeps that stream the same between releases; it
    makes no such promise for ``Generator.permutation``, and stored segments must go on agreeing.
    """
    source = np.random.PCG64(seed)
    while True:
        yield np.argsort(source.random_raw(n), kind="stable").tolist()


def terms_of(
    signatures: npt.NDArray[np.uint8], bits: npt.NDArray[np.int16]
) -> npt.NDArray[np.uint32]:
    """Terms uint32 [L, n] for positions int16 [L, k]; the first position is the highest bit."""
    out = np.empty((len(bits), len(signatures)), np.uint32)
    _terms(np.ascontiguousarray(signatures), np.ascontiguousarray(bits), out)
    return out


def recall(flips: npt.ArrayLike, k: int, bands: int) -> npt.NDArray[np.float64]:
    """Chance that a pair shares a term at least: 1 - (1 - (1 - p)^k)^L.

    ``flips``: the share p of bits in which the pair differs, any shape. It takes sampled bits as
    independent, as they nearly are with k far below the number of bits.
    """
    agree = (1 - np.asarray(flips, np.float64)) ** k
    return np.asarray(1 - (1 - agree) ** bands)


@numba.njit(cache=True, nogil=True)
def _terms(signatures, bits, out):  # type: ignore[no-untyped-def]
    bands, k = bits.shape
    for i in range(len(signatures)):
        for band in range(bands):
            term = np.uint32(0)
            for j in range(k):
                at = bits[band, j]
                bit = (signatures[i, at >> 3] >> (7 - (at & 7))) & 1
                term = np.uint32((term << 1) | bit)
            out[band, i] = term
