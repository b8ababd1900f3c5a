"""Evidence that two pins show the same picture, in log-odds (natural logarithm).

A link brings the classifier's score. A pair without a link is evidence too: its Hamming distance
is known, and a table of calibrated log-odds by distance (made with the classifier, on the same
scale) turns it into a number, negative for pairs that are far apart.

The objective of stream and batch is one: the sum of the evidence of all pairs that lie inside a
cluster (correlation clustering; Bansal, Blum, Chawla 2004).

Two things make the sum mean what people mean. ``zero``: a classifier's scores are log-odds at the
prior of its training pairs; a cluster asks at another prior, and from each score the one at which
a pair speaks neither for nor against is subtracted. ``apart``: a sum lets many near pairs outvote
a few impossible ones, so that a chain of small steps has one cluster with both its ends in it; a
pair that differs in more bits than any two copies do has evidence of minus infinity.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from neardup.index.hamming import row_distance, words
from neardup.models.classifier import Classifier
from neardup.schemas.settings import Settings

Ordinals = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Table = npt.NDArray[np.float32]


APART = 450
"""Most bits between two pins of a cluster. Of 8,105 pairs of labelled pictures of one scene the
farthest are 450 apart; unrelated ones are 428 apart at the first percentile, 497 at the median."""

UNSEEN = 12.0
"""Least score of a trusted link that no looks have judged. It must stand among whatever pins come:
40,000 small pictures without looks have 9,489 links from 4.7 on, which hang 3,178 of them together,
504 from 9 on, and 47 from 12 on."""


class Links(NamedTuple):
    """Pairs ``left[i]``, ``right[i]`` of some pins, int64 [m], with ``scores`` float64 [m].

    Of a pair that is there twice the later score counts. What people said is a link too: plus
    infinity for together, minus infinity for apart.
    """

    left: Ordinals
    right: Ordinals
    scores: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What a pair's distance says, and from which score on a link is trusted as a cluster edge.

    ``by_hamming`` float32 [bits + 1]: the classifier's log-odds of a pair at each Hamming distance.
    ``trusted``: least score of a link that may hold a cluster together (pair precision .999).
    ``unseen``: as ``trusted``, where the looks of one picture are unknown, if that is greater.
    ``zero``: the score that says nothing; ``apart``: the most bits that two pins of one cluster may
    differ in, None for no bound.
    """

    by_hamming: Table
    trusted: float
    zero: float = 0.0
    apart: int | None = None
    unseen: float = -np.inf

    def trusts(
        self, scores: npt.NDArray[np.floating], seen: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Which links may hold a cluster together, bool [m].

        ``scores`` [m]; ``seen`` bool [m]: whether the looks of both pictures are known.
        """
        trusted: npt.NDArray[np.bool_] = scores >= self.trusted
        return trusted & (seen | (scores >= self.unseen))

    @cached_property
    def table(self) -> Table:
        """Evidence by Hamming distance, float32 [bits + 1]: less ``zero``, -inf past ``apart``."""
        table = self.by_hamming.astype(np.float32) - np.float32(self.zero)
        if self.apart is not None:
            table[self.apart + 1 :] = -np.inf
        return table

    def between(self, left: Signatures, right: Signatures) -> Table:
        """Evidence of all pairs, float32 [m, n], of signatures uint8 [m, 128] and [n, 128]."""
        evidence: Table = _all_pairs(words(left), words(right), self.table)
        return evidence

    def inside(self, signatures: Signatures, links: Links) -> npt.NDArray[np.float64]:
        """Evidence of all pairs of n pins, float64 [n, n]: links as scored, others by distance.

        ``signatures`` uint8 [n, 128]; ``links`` by position in them.
        """
        evidence = self.between(signatures, signatures).astype(np.float64)
        low, high = np.minimum(links.left, links.right), np.maximum(links.left, links.right)
        evidence[low, high] = links.scores - self.zero
        evidence[high, low] = evidence[low, high]
        return evidence


def evidence_of(classifier: Classifier, settings: Settings) -> Evidence:
    """What a classifier says of pairs, for stream and compaction alike.

    Its scores have their zero where clusters want it already (``models.calibration``). Copies that
    are searched for by turned views differ from their original in half of the bits as they stand,
    so with ``stream.query_views = ["turns"]`` no number of bits keeps two pins apart.
    """
    turned = "turns" in settings.stream.query_views
    return Evidence(
        classifier.hamming_log_odds,
        classifier.trusted,
        zero=0.0,
        apart=None if turned else APART,
        unseen=UNSEEN,
    )


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _all_pairs(left: Words, right: Words, table: Table) -> Table:
    evidence = np.empty((len(left), len(right)), np.float32)
    for i in range(len(left)):
        for j in range(len(right)):
            evidence[i, j] = table[row_distance(left[i], right[j])]
    return evidence
