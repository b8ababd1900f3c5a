"""Components that need no cut: every pair speaks for one cluster. Nearly all are of that kind."""

import numba as nb
import numpy as np
import numpy.typing as npt

from neardup.clusters.evidence import Evidence, Links, Signatures, Table, Words
from neardup.index.hamming import row_distance, words

Int64 = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


def disputed(
    evidence: Evidence, signatures: Signatures, components: Int64, links: Links, most: int
) -> Booleans:
    """Which of n pins are in a component with evidence against it, bool [n].

    A pair's distance or a link inside may be that, and what holds more than ``most`` pins counts as
    disputed unseen. Where all evidence is positive the whole has the greatest sum of it.
    """
    _, which, sizes = np.unique(components, return_inverse=True, return_counts=True)
    found = sizes > most
    left, right = which[links.left], which[links.right]
    found[left[(left == right) & (links.scores <= evidence.zero)]] = True
    order = np.argsort(which, kind="stable")
    _look(words(signatures), evidence.table, order, np.append(0, np.cumsum(sizes)), found)
    by_pin: Booleans = found[which]
    return by_pin


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _look(signatures: Words, table: Table, pins: Int64, begins: Int64, found: Booleans) -> None:
    """Mark components, by number, in which the distance of a pair speaks against it."""
    for k in range(len(found)):
        members = pins[begins[k] : begins[k + 1]]
        for i in range(len(members)):
            for j in range(i):
                if found[k]:
                    break
                bits = row_distance(signatures[members[i]], signatures[members[j]])
                found[k] = table[bits] <= 0
