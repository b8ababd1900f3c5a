"""Who stands for a cluster: its head, and its best copy.

The head is the medoid, the member with the most evidence towards the others. Of members about as
central, the head that there was stays; without one, the picture of the highest resolution is taken,
and of equal ones the oldest. The *best* copy is the largest picture, of equal ones the least
compressed.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

from neardup.clusters.attach import SAMPLE
from neardup.clusters.evidence import Evidence, Signatures, Table, Words
from neardup.clusters.treap import rank
from neardup.index.hamming import row_distance, words

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MARGIN = 0.5
"""Log-odds a pair by which a head must be beaten: about 8 of 1,024 bits, the distance of copies."""


def heads(
    evidence: Evidence,
    signatures: Signatures,
    labels: Int64,
    pixels: Int64,
    was_head: npt.NDArray[np.bool_],
) -> Int64:
    """For each of n pins, in the order of age, the position of its cluster's head, int64 [n].

    ``signatures`` uint8 [n, 128]; ``labels`` int64 [n]; ``pixels`` int64 [n], the area of the
    picture, 0 if unknown; ``was_head`` bool [n]. Of a large cluster SAMPLE members speak, those
    whose places in it hash lowest: O(n * SAMPLE). What other clusters there are changes nothing.
    """
    _, which, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    begins = np.append(0, np.cumsum(sizes))
    members = np.argsort(which, kind="stable")
    central = _centrality(words(signatures), evidence.table, members, begins)
    most = np.full(len(sizes), -np.inf)
    np.maximum.at(most, which, central)
    near = central >= most[which] - MARGIN
    ranked = np.lexsort((np.arange(len(labels)), -pixels, ~(was_head & near), ~near, which))
    first: Int64 = ranked[begins[:-1]][which]
    return first


def best_copies(labels: Int64, pixels: Int64, file_bytes: Int64) -> Int64:
    """For each of n pins, in the order of age, the position of its cluster's best copy, int64 [n].

    ``pixels`` and ``file_bytes`` int64 [n], 0 if unknown. At one size more bytes are a weaker
    compression; of equal copies the oldest.
    """
    _, which, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    ranked = np.lexsort((np.arange(len(labels)), -file_bytes, -pixels, which))
    first: Int64 = ranked[np.cumsum(sizes) - sizes][which]
    return first


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _centrality(signatures: Words, table: Table, pins: Int64, begins: Int64) -> Floats:
    """Mean evidence of each pin with the others who speak for its cluster; 0 if it is alone.

    ``pins`` by cluster; cluster k holds those from ``begins[k]`` to ``begins[k + 1]``.
    """
    central = np.zeros(len(signatures), np.float64)
    for k in range(len(begins) - 1):
        members = pins[begins[k] : begins[k + 1]]
        speaking = members
        if len(members) > SAMPLE:
            ranks = np.array([rank(place) for place in range(len(members))], np.uint64)
            speaking = members[np.argsort(ranks)[:SAMPLE]]
        for member in members:
            heard, said = 0, 0.0
            for other in speaking:
                if other != member:
                    said += table[row_distance(signatures[member], signatures[other])]
                    heard += 1
            if heard:
                central[member] = said / heard
    return central
