"""Connected components by union-find, in a form that runs in parts.

A *forest* is a set of edges with the same components and no cycle: at most one edge fewer than
there are nodes. Forests of parts, put together and reduced again, are a forest of the whole, so
each Spark partition can send its own forest to the driver and the result is exact.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

Nodes = npt.NDArray[np.int64]


def forest(left: Nodes, right: Nodes) -> tuple[Nodes, Nodes]:
    """Those of the edges (left[i], right[i]), int64 [m], that join two components; any node ids."""
    nodes, inverse = np.unique(np.concatenate([left, right]), return_inverse=True)
    kept = _unite(inverse[: len(left)], inverse[len(left) :], np.arange(len(nodes)))
    return left[kept], right[kept]


def components(n: int, left: Nodes, right: Nodes) -> Nodes:
    """For each node 0..n-1 the least node of its component, int64 [n]."""
    parents = np.arange(n)
    _unite(left, right, parents)
    roots: Nodes = _roots(parents)
    return roots


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _find(parents: Nodes, node: int) -> int:
    while parents[node] != node:
        parents[node] = parents[parents[node]]  # path halving (Tarjan, van Leeuwen 1984)
        node = parents[node]
    return node


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _unite(left: Nodes, right: Nodes, parents: Nodes) -> npt.NDArray[np.bool_]:
    joined = np.zeros(len(left), np.bool_)
    for i in range(len(left)):
        a, b = _find(parents, left[i]), _find(parents, right[i])
        if a != b:
            parents[max(a, b)] = min(a, b)  # the least node is the root, whatever the order
            joined[i] = True
    return joined


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _roots(parents: Nodes) -> Nodes:
    roots = np.empty_like(parents)
    for node in range(len(parents)):
        roots[node] = _find(parents, node)
    return roots
