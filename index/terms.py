"""Terms: sampled sign bits, grouped into bands; when two signatures match in a band.

A band is a fixed sequence of sampled bit positions (bit sampling: Indyk and Motwani 1998). Its
first ``term_bits`` bits are the *term*, by which postings are found; the 32 bits after them are the
*tail*, which tells chance collisions from matches before anything else of a pin is looked at.

Two signatures match in a band if at most ``flips`` bits of the term and at most ``tail_flips`` bits
of the tail differ. ``flips`` = 1 looks into the lists of all terms one bit away too (multi-probe
LSH: Lv, Josephson, Wang, Charikar, Li 2007), which finds as much with a third of the bands. If a
share p of the bits differs, independently,

    P(match in a band) = sum_{i<=flips} C(k,i) p^i (1-p)^(k-i)
                       * sum_{j<=tail_flips} C(32,j) p^j (1-p)^(32-j)

and, for one band as the least overlap, recall = 1 - (1 - P)^bands.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import blake2b

import numba
import numpy as np
import numpy.typing as npt

from neardup.index.hamming import words
from neardup.index.intrinsics import popcount
from neardup.index.store import SIGNATURE_BYTES

N_BITS = 8 * SIGNATURE_BYTES
TAIL_BITS = 32
MAX_TERM_BITS = 24
MAX_BANDS = 1024

UInt64 = npt.NDArray[np.uint64]
Signatures = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class TermPlan:
    """What a match is, for all of a lake: its segments, its memtable, each of its queries.

    The defaults were planned for a million pins of the bundled hasher, with recall .9915 over the
    distances of real near-duplicates (docs/planner.md).
    """

    bands: int = 80
    term_bits: int = 16
    flips: int = 1
    tail_flips: int = 11
    min_overlap: int = 1
    seed: int = 2018

    def __post_init__(self) -> None:
        limits = {
            "bands": (1, MAX_BANDS),
            "term_bits": (1, MAX_TERM_BITS),
            "flips": (0, 1),
            "tail_flips": (0, TAIL_BITS),
            "min_overlap": (1, self.bands),
        }
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name} is {value}; it must be {least} to {most}")

    @property
    def version(self) -> str:
        """Eight hexadecimal digits that stand for this plan."""
        return blake2b(self.to_json().encode(), digest_size=4).hexdigest()

    @property
    def positions(self) -> npt.NDArray[np.int16]:
        """Sampled bit positions int16 [bands, term_bits + 32], distinct within a band."""
        return _dealt(self.bands, self.term_bits + TAIL_BITS, self.seed)

    def words(self, signatures: Signatures, bands: slice = slice(None)) -> UInt64:
        """Band words uint64 [bands, n], ``term << 32 | tail``, of signatures uint8 [n, 128].

        The first position of a band is the highest bit. ``bands`` takes some bands only. The words
        of ``a ^ b`` are the words of a xor the words of b.
        """
        positions = self.positions[bands]
        out = np.empty((len(positions), len(signatures)), np.uint64)
        _words(words(signatures), _rows_of(positions), positions.shape[1], out)
        return out

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "TermPlan":
        """The plan that ``to_json`` wrote. Raises ValueError or TypeError if it is none."""
        return cls(**json.loads(text))


def matches(plan: TermPlan, left: Signatures, right: Signatures) -> npt.NDArray[np.int32]:
    """The overlap of row i of both, int32 [n]: in how many bands they match.

    ``left`` and ``right`` uint8 [n, 128]. By brute force: the memtable's filter, and the oracle of
    what ``search`` counts.
    """
    if left.shape != right.shape:
        raise ValueError(f"{list(left.shape)} signatures on the left, {list(right.shape)} right")
    out = np.zeros(len(left), np.int32)
    for begin in range(0, len(left), _AT_ONCE):
        rows = slice(begin, begin + _AT_ONCE)
        differing = plan.words(left[rows] ^ right[rows])
        _count_matches(differing, plan.flips, plan.tail_flips, out[rows])
    return out


_AT_ONCE = 4096  # pairs: 2.5 MiB of band words with 80 bands


@cache
def _dealt(count: int, width: int, seed: int) -> npt.NDArray[np.int16]:
    """Positions int16 [count, width], dealt like cards.

    One to each band in turn from a shuffled deck of all positions, a new deck when none is left: so
    the first k columns use all bits equally often, within one. At k = 13 that misses .0061 of the
    links where independent samples miss .0071 (three seeds each).
    """
    shuffles = _shuffles(N_BITS, seed)
    dealt: list[list[int]] = [[] for _ in range(count)]
    deck = next(shuffles)
    for _ in range(width):
        for band in dealt:
            while (card := next((bit for bit in deck if bit not in band), None)) is None:
                deck += next(shuffles)
            deck.remove(card)
            band.append(card)
    positions = np.array(dealt, np.int16)
    positions.setflags(write=False)
    return positions


def _shuffles(n: int, seed: int) -> Iterator[list[int]]:
    """Permutations of 0..n-1 without end.

    Raw words of PCG64 are sorted, because numpy keeps that stream the same between releases; it
    makes no such promise for ``Generator.permutation``, and stored segments must go on agreeing.
    """
    source = np.random.PCG64(seed)
    while True:
        yield np.argsort(source.random_raw(n), kind="stable").tolist()


def _rows_of(positions: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Where ``_transpose`` puts each position: in a byte the first bit is the highest."""
    return np.ascontiguousarray((positions & ~7) | (7 - (positions & 7)))


@numba.njit(cache=True, nogil=True)
def _words(signatures, rows, width, out):  # type: ignore[no-untyped-def]
    """Sixty-four signatures at a time: their bits are transposed, so that a sampled bit of all of
    them is one word, and each band's words transposed back. Five times as fast as bit by bit.
    """
    bits = np.zeros(N_BITS, np.uint64)
    block = np.zeros(64, np.uint64)
    for begin in range(0, len(signatures), 64):
        count = min(64, len(signatures) - begin)
        for w in range(N_BITS // 64):
            tile = bits[64 * w : 64 * w + 64]
            for i in range(64):
                tile[i] = signatures[begin + i, w] if i < count else np.uint64(0)
            _transpose(tile)
        for band in range(len(rows)):
            for j in range(64):
                block[j] = bits[rows[band, width - 1 - j]] if j < width else np.uint64(0)
            _transpose(block)
            for i in range(count):
                out[band, begin + i] = block[i]


@numba.njit(cache=True, nogil=True)
def _transpose(block):  # type: ignore[no-untyped-def]
    """Transpose 64 x 64 bits in place: bit j of word i becomes bit i of word j.

    Halves, quarters, ... change places (Warren, Hacker's Delight, section 7-3).
    """
    step = 32
    mask = np.uint64(0xFFFFFFFF)
    while step:
        shift = np.uint64(step)
        for base in range(0, 64, 2 * step):
            for i in range(base, base + step):
                change = ((block[i] >> shift) ^ block[i + step]) & mask
                block[i] ^= change << shift
                block[i + step] ^= change
        step >>= 1
        mask ^= mask << np.uint64(step) if step else np.uint64(0)


@numba.njit(cache=True, nogil=True)
def _count_matches(differing, flips, tail_flips, out):  # type: ignore[no-untyped-def]
    for band in range(len(differing)):
        for i in range(len(out)):
            word = differing[band, i]
            term = popcount(word >> np.uint64(TAIL_BITS))
            tail = popcount(word & np.uint64(0xFFFFFFFF))
            out[i] += (term <= flips) & (tail <= tail_flips)
