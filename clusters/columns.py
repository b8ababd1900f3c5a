"""Where every pin stands, as dense arrays that the fold's kernels read and write.

24 bytes a pin and 21 a cluster, in memory or in memory-mapped files that are made anew at each
start. A cluster is known by its *slot*: the number of its row in the arrays of clusters, which is
given again when the cluster is gone. Ordinals and slots are stored in 32 bits: 2^31 pins.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.clusters.treap import NOBODY, Children
from neardup.index.store import reserve
from neardup.schemas.errors import LakeError

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

UNTOUCHED = -2
_LEAST_ROOM = 1024


class Columns(NamedTuple):
    """By pin: ``slot``, ``children``, ``touched``; by slot: the others. All of one length."""

    slot: Int32  # of its cluster; NOBODY: never added, or has left
    children: Children  # [n, 2], the treap of its cluster
    touched: Int32  # the pin whose standing changed before this one's; UNTOUCHED: it did not
    before: Int64  # of a touched pin the id of the cluster where it was then; NOBODY: in none
    root: Int32  # of the cluster's treap; of a slot to be given again: the next one of those
    size: Int32
    head: Int32
    cluster_id: Int64
    walled: npt.NDArray[np.bool_]  # a member may be in a pair that a person keeps apart
    state: Int64  # [3]: LAST, FRESH, FREED


LAST, FRESH, FREED = 0, 1, 2
"""In ``state``: the pin touched last; the first slot never given; the first to be given again."""

_DTYPES = {
    "slot": np.int32,
    "children": np.int32,
    "touched": np.int32,
    "before": np.int64,
    "root": np.int32,
    "size": np.int32,
    "head": np.int32,
    "cluster_id": np.int64,
    "walled": np.bool_,
}
BYTES_PER_PIN, BYTES_PER_CLUSTER = 24, 21


def grow(columns: Columns | None, n: int, directory: Path | None) -> Columns:
    """Columns with room for ``n`` pins at least, and what was in ``columns``; new pins in none.

    In files of ``directory`` if there is one: they are lengthened in place, whatever their size.
    Raises LakeError past 2^31 pins.
    """
    if n > np.iinfo(np.int32).max:
        raise LakeError(
            f"A lake of {n} pin versions is more than the 2^31 that one fold can number: split the "
            "topic by a key of the pins into several lakes."
        )
    old = 0 if columns is None else len(columns.slot)
    if columns is not None and n <= old:
        return columns
    room = max(_LEAST_ROOM, 2 * old, n)
    wider = Columns(
        **{
            name: _widened(
                None if columns is None else getattr(columns, name), name, room, directory
            )
            for name in _DTYPES
        },
        state=np.array([NOBODY, 0, NOBODY]) if columns is None else columns.state,
    )
    wider.slot[old:] = NOBODY
    wider.touched[old:] = UNTOUCHED
    return wider


def _widened(
    column: npt.NDArray[Any] | None, name: str, room: int, directory: Path | None
) -> npt.NDArray[Any]:
    shape = (room, 2) if name == "children" else (room,)
    dtype = np.dtype(_DTYPES[name])
    if directory is not None:
        path = directory / f"fold-{name}"
        with path.open("wb" if column is None else "ab") as file:
            reserve(file, int(np.prod(shape)) * dtype.itemsize)
        return np.asarray(np.memmap(path, dtype, "r+", shape=shape))
    wider = np.zeros(shape, dtype)
    if column is not None:
        wider[: len(column)] = column
    return wider
