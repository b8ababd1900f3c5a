"""Which lists of the index grow faster than they should: terms that many new pins share."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.index.terms import TAIL_BITS, TermPlan

BANDS = 8
"""Bands that are looked at: a crowd of like pictures shares terms in most of them."""


class Bucket(NamedTuple):
    """The term of a band that most of the newest pins share: ``rows`` int64, which of them;
    ``before``: how many pins of the time before share it."""

    band: int
    rows: npt.NDArray[np.int64]
    before: int


def fullest(
    plan: TermPlan, newest: npt.NDArray[np.uint8], before: npt.NDArray[np.uint8]
) -> Bucket | None:
    """Of the signatures of indexed pins uint8 [n, 128]; None if there are no new ones."""
    best: Bucket | None = None
    bands = slice(0, min(BANDS, plan.bands))
    pairs = zip(_terms(plan, newest, bands), _terms(plan, before, bands), strict=True)
    for band, (terms, older) in enumerate(pairs if len(newest) else ()):
        values, counts = np.unique(terms, return_counts=True)
        if best is None or counts.max() > len(best.rows):
            term = values[counts.argmax()]
            best = Bucket(band, np.flatnonzero(terms == term), int((older == term).sum()))
    return best


def _terms(
    plan: TermPlan, signatures: npt.NDArray[np.uint8], bands: slice
) -> npt.NDArray[np.uint64]:
    """Terms uint64 [bands, n]."""
    return plan.words(signatures, bands) >> np.uint64(TAIL_BITS)
