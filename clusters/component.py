"""The parts of one component of links, whatever its size.

A component of at most ``most`` pins is cut with the evidence of every pair. A larger one is first
loosened into pieces of that size, and each is cut. Where the pieces end is the threshold's doing,
so their parts are then joined wherever there is evidence for it, and pins at their edges move
(``mend``). That work is bounded by the links, not by the pairs.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from neardup.clusters.evidence import Evidence, Links, Signatures
from neardup.clusters.kcut import cut
from neardup.clusters.loosen import loosen
from neardup.clusters.mend import mend

Int64 = npt.NDArray[np.int64]


def partition(evidence: Evidence, signatures: Signatures, links: Links, most: int) -> Int64:
    """For each pin of a component the least pin of its part, int64 [n].

    ``signatures`` uint8 [n, 128]; ``links`` by position in them, in any order.
    """
    n = len(signatures)
    if n <= most:
        return cut(evidence.inside(signatures, links))
    parts = _cut_pieces(evidence, signatures, links, loosen(n, links, most))
    return mend(evidence, signatures, links, parts)


def _cut_pieces(evidence: Evidence, signatures: Signatures, links: Links, pieces: Int64) -> Int64:
    parts = pieces.copy()
    for members, own in each(pieces, links):
        parts[members] = members[cut(evidence.inside(signatures[members], own))]
    return parts


def each(labels: Int64, links: Links) -> Iterator[tuple[Int64, Links]]:
    """The members of every label that has several, and the links among them by position."""
    order = np.argsort(labels, kind="stable")
    names, begins, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    place = np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels)) - np.repeat(begins, sizes)
    inside = np.flatnonzero(labels[links.left] == labels[links.right])
    inside = inside[np.argsort(labels[links.left[inside]], kind="stable")]
    of_link = labels[links.left[inside]]
    first, last = (np.searchsorted(of_link, names, side) for side in ("left", "right"))
    for i in np.flatnonzero(sizes > 1).tolist():
        own = inside[first[i] : last[i]]
        local = Links(place[links.left[own]], place[links.right[own]], links.scores[own])
        yield order[begins[i] : begins[i] + sizes[i]], local
