"""The sample of a lake that a plan is made from: signatures of indexed pins, patterns of links.

Which pins and links are drawn depends on their ordinals alone: the same log gives the same sample.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.index.arithmetic import recall
from neardup.index.store import SIGNATURE_BYTES, stacked
from neardup.index.terms import TermPlan
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake

Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]
Signatures = npt.NDArray[np.uint8]
Float64 = npt.NDArray[np.float64]

SIGNATURES = 16_384
LINKS = 16_384
FEWEST_LINKS = 200
FEWEST_SIGNATURES = 2

TYPICAL_SHARES = (
    (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0),
    (0.0, 0.021, 0.033, 0.069, 0.130, 0.193, 0.241, 0.268, 0.307, 0.317),
)
"""Quantiles, and the share of bits in which as many of the links differ at most: 7,745 pairs of
labelled photographs within the bundled classifier's radius, under the bundled hasher."""

_LEAST_CHANCE = 0.1

_INDEXED = """
SELECT ordinal FROM pins
WHERE kind = 'add' AND exemplar IS NULL AND ordinal NOT IN
    (SELECT previous FROM pins WHERE previous IS NOT NULL AND kind <> 'repeat')
"""
_LINKING = "SELECT ordinal FROM pins WHERE kind = 'add' AND len(links) > 0"
_LINKS = """
SELECT * FROM (
    SELECT ordinal, unnest(links).ordinal AS older FROM pins
    WHERE kind = 'add' AND ordinal IN (SELECT unnest($ordinals))
) WHERE older NOT IN (SELECT ordinal FROM pins WHERE kind = 'add' AND signature IS NULL)
ORDER BY ALL
"""
_SIGNATURES = """
SELECT ordinal, signature FROM pins
WHERE kind = 'add' AND ordinal IN (SELECT unnest($ordinals)) ORDER BY ordinal
"""


class Drawn(NamedTuple):
    """``signatures`` uint8 [s, 128]; ``links`` XOR patterns uint8 [p, 128] with ``weights`` [p].

    ``pins``: indexed live pins of the lake. ``typical``: the links are not the lake's, which has
    too few, but typical ones.
    """

    signatures: Signatures
    links: Signatures
    weights: Float64
    pins: int
    typical: bool


def draw_from(lake: Lake, plan: TermPlan) -> Drawn:
    """A uniform sample of the live indexed pins and of the accepted links, found under ``plan``.

    A link at a distance where the plan finds half of them stands for two: without that, what one
    plan misses is not missed by the next, and each would see less far (Horvitz and Thompson 1952).
    Raises LakeError if there are no pins.
    """
    indexed = lake.sql(_INDEXED)["ordinal"].to_numpy()
    if len(indexed) < FEWEST_SIGNATURES:
        raise LakeError(
            f"{lake.path} holds {len(indexed)} indexed pins: a plan is made from a sample of them. "
            "Run `neardup plan` again when the stream has taken some thousands."
        )
    _, signatures = _signatures(lake, _lowest(indexed, mixed(indexed), SIGNATURES))
    links = _links(lake)
    typical = len(links) < FEWEST_LINKS
    if typical:
        links = typical_links()
    share = np.bitwise_count(links).sum(axis=1, dtype=np.int64) / (8 * SIGNATURE_BYTES)
    chance = np.ones(len(links)) if typical else recall(share, plan)
    return Drawn(signatures, links, 1 / np.maximum(chance, _LEAST_CHANCE), len(indexed), typical)


def typical_links(n: int = 8192, seed: int = 1) -> Signatures:
    """XOR patterns uint8 [n, 128] at the distances of TYPICAL_SHARES, bits flipped at random."""
    quantiles, shares = TYPICAL_SHARES
    flips = np.interp((np.arange(n) + 0.5) / n, quantiles, shares) * 8 * SIGNATURE_BYTES
    order = np.argsort(np.random.default_rng(seed).random((n, 8 * SIGNATURE_BYTES)), axis=1)
    return np.packbits(order < np.round(flips)[:, None], axis=1)


def mixed(numbers: npt.NDArray[np.integer[Any]]) -> UInt64:
    """Hashes uint64 of 64-bit integers, a bijection (SplitMix64: Steele, Lea, Flood 2014)."""
    z = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)), np.uint64)


def _lowest(values: Int64, hashes: UInt64, n: int) -> Int64:
    """The values whose hashes are the ``n`` lowest."""
    if len(values) <= n:
        return values
    return np.asarray(values[np.argpartition(hashes, n)[:n]], np.int64)


def _signatures(lake: Lake, ordinals: Int64) -> tuple[Int64, Signatures]:
    """Ordinals, ascending, and their signatures uint8 [n, 128]."""
    rows = lake.sql(_SIGNATURES, {"ordinals": ordinals.tolist()})
    return rows["ordinal"].to_numpy(), stacked(rows["signature"].to_pylist())


def _links(lake: Lake) -> Signatures:
    """XOR patterns of links: all of some pins, and of those some."""
    linking = lake.sql(_LINKING)["ordinal"].to_numpy()
    if not len(linking):
        return np.empty((0, SIGNATURE_BYTES), np.uint8)
    some = _lowest(linking, mixed(linking), LINKS)
    pairs = lake.sql(_LINKS, {"ordinals": some.tolist()})
    newer, older = (pairs[name].to_numpy() for name in ("ordinal", "older"))
    rows = _lowest(np.arange(len(newer)), mixed(mixed(newer) + older.astype(np.uint64)), LINKS)
    newer, older = newer[rows], older[rows]
    ordinals, signatures = _signatures(lake, np.unique(np.concatenate([newer, older])))
    left, right = (signatures[np.searchsorted(ordinals, side)] for side in (newer, older))
    return np.asarray(left ^ right, np.uint8)
