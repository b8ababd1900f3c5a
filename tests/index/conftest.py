"""Signatures as the tests of the index need them, from a seed."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import pytest

from neardup.index.ids import id_hashes
from neardup.index.segment import SegmentBlocks, build_segment
from neardup.index.terms import TermPlan

Signatures = npt.NDArray[np.uint8]


class MakeSignatures(Protocol):
    def __call__(self, n: int, seed: int, ones: float = 0.5) -> Signatures: ...


class MakeSegment(Protocol):
    def __call__(
        self, signatures: Signatures, first: int = 0, plan: TermPlan = ...
    ) -> SegmentBlocks: ...


@pytest.fixture(scope="session")
def make_signatures() -> MakeSignatures:
    """Random signatures uint8 [n, 128] with a share of ``ones``; every fourth is a near copy."""

    def make(n: int, seed: int, ones: float = 0.5) -> Signatures:
        rng = np.random.default_rng(seed)
        bits = rng.random((n, 1024)) < ones
        for row in range(3, n, 4):
            bits[row] = bits[rng.integers(row)] ^ (rng.random(1024) < rng.uniform(0, 0.25))
        return np.packbits(bits, axis=1)

    return make


@pytest.fixture(scope="session")
def make_segment() -> MakeSegment:
    """A segment of pins ``pin-0``, ``pin-1``, ..., one to each ordinal from ``first`` on."""

    def make(signatures: Signatures, first: int = 0, plan: TermPlan | None = None) -> SegmentBlocks:
        ordinals = np.arange(first, first + len(signatures))
        ids = id_hashes([f"pin-{row}" for row in range(len(signatures))])
        span = (first, first + len(signatures))
        return build_segment(span, ordinals, signatures, ids, ordinals, plan or TermPlan())

    return make
