"""Who is in the index, and who answers for those that are not.

A pin that arrives beside a crowd is not indexed: its nearest candidate, an indexed pin, becomes its
*exemplar* and answers for it. Searches find exemplars only, and the pin's own links say whom it
belongs to. So 100,000 copies of one picture are one entry of the index, and a looser crowd at most
``max_links``: the work per query is bounded, and nothing is dropped.

When an exemplar ends (deleted, or replaced by a new version of its pin), the oldest live pin that
it answers for is *elected* in its place: it is indexed from that point of the log on and answers
for the rest. A crowd keeps as many exemplars as it had for as long as it has pins.

All of it is a function of the log in its order, whatever the batches, flushes and merges were.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

COPY_BITS = 8
"""A pin whose nearest candidate differs in at most so many bits is a copy of it."""

CROWD_BITS = 205
"""A pin with ``max_links`` candidates within so many bits, 20 % of 1,024, stands in a crowd.

Nine links of ten are nearer. On 1,881 labelled photos the rule parts no pins that links joined
before, even with 8 links a pin and 256 bits.
"""

NOBODY = -1
FOLLOWER, GONE = -1, -2


def logged(rows: pa.Table) -> tuple[Int64, Int64, Int64]:
    """What ``Exemplars.replay`` takes, from rows of `pins`: kind, ordinal, exemplar, previous."""
    ends = pc.if_else(pc.equal(rows["kind"], "repeat"), None, rows["previous"])
    columns = (rows["ordinal"], rows["exemplar"], ends)
    ordinals, exemplars, ended = (pc.fill_null(c, NOBODY).to_numpy() for c in columns)
    return ordinals, exemplars, ended


def exemplar_for(hamming: Int32, ordinals: Int64, max_links: int) -> int:
    """The exemplar of a new pin, or NOBODY if it is to be indexed itself.

    ``hamming`` int32 [c] ascending and ``ordinals`` int64 [c]: its candidates, the nearest
    ``max_links`` of them at least.
    """
    if not len(hamming):
        return NOBODY
    is_copy = hamming[0] <= COPY_BITS
    in_crowd = len(hamming) >= max_links and hamming[max_links - 1] <= CROWD_BITS
    return int(ordinals[0]) if is_copy or in_crowd else NOBODY


class Exemplars:
    """The indexed pins and their followers, over ordinals 0..n-1, changed event by event.

    An exemplar's followers are a list in the order of arrival. Ended ones stay in it until an
    election walks past them, once: every event costs O(1), amortised.

    Memory: two int32 by ordinal, 8 bytes a pin, so at most 2^31 pins. ``_following``: the next pin
    of the same list. ``_last``: the end of an exemplar's list (itself if nobody follows), FOLLOWER
    for a pin that another answers for, GONE for one that ended.
    """

    def __init__(self) -> None:
        self._n = 0
        self._following = np.empty(0, np.int32)
        self._last = np.empty(0, np.int32)
        self._before: list[tuple[int, int, int]] | None = None

    def __len__(self) -> int:
        return self._n

    def add(self, ordinal: int, exemplar: int = NOBODY) -> None:
        """The next pin version: indexed, or answered for by ``exemplar``, which must be indexed."""
        if ordinal != self._n or (exemplar != NOBODY and not self._is(exemplar, indexed=True)):
            raise ValueError(
                f"Pin {ordinal} cannot follow {exemplar}: {self._n} is the next ordinal, and "
                "only a live indexed pin answers for others."
            )
        self._grow(ordinal + 1)
        if exemplar != NOBODY:
            self._remember(exemplar, int(self._last[exemplar]))
        _add(self._following, self._last, ordinal, exemplar)
        self._n += 1

    def end(self, ordinal: int) -> int:
        """A live pin version ends; the ordinal elected in its place, or NOBODY."""
        if not self._is(ordinal):
            raise ValueError(f"Pin {ordinal} cannot end: it is not live.")
        self._remember(ordinal)
        elected = int(_end(self._following, self._last, ordinal))
        if elected != NOBODY and self._before is not None:
            self._before.append((elected, int(self._following[elected]), FOLLOWER))
        return elected

    def replay(self, ordinals: Int64, exemplars: Int64, previous: Int64) -> Int64:
        """Apply rows of the log in its order; the pins elected on the way, int64 [e].

        All int64 [rows]: the pin version that a row adds, its exemplar, and the version that ends
        before it; -1 for none. Raises ValueError if the rows cannot follow what was applied so far.
        """
        added = int((ordinals >= 0).sum())
        self._grow(self._n + added)
        elected = np.empty(len(ordinals), np.int64)
        rows = tuple(np.ascontiguousarray(column) for column in (ordinals, exemplars, previous))
        count, wrong = _replay(self._following, self._last, self._n, *rows, elected)
        if wrong >= 0:
            raise ValueError(
                f"Row {wrong} of {len(ordinals)} adds pin {ordinals[wrong]} with exemplar "
                f"{exemplars[wrong]} and ends pin {previous[wrong]}: it cannot follow the rows "
                "before it, where one of them is not what it must be."
            )
        self._n += added
        return elected[:count]

    @contextmanager
    def trial(self) -> Iterator[None]:
        """What ``add`` and ``end`` do inside the ``with`` block is undone at its end."""
        n, self._before = self._n, []
        try:
            yield
        finally:
            for ordinal, following, last in reversed(self._before):
                self._following[ordinal], self._last[ordinal] = following, last
            self._n, self._before = n, None

    def indexed(self, first: int, end: int) -> Int64:
        """The live indexed pins of a range of ordinals, int64, ascending."""
        return np.flatnonzero(self._last[first : min(end, self._n)] >= 0) + first

    def live(self, first: int, end: int) -> Int64:
        """All live pins of a range of ordinals, int64, ascending."""
        return np.flatnonzero(self._last[first : min(end, self._n)] != GONE) + first

    def is_indexed(self, ordinals: Int64) -> npt.NDArray[np.bool_]:
        """Whether each pin is live and indexed, bool [n]."""
        return np.asarray(self._last[ordinals] >= 0)

    def followers(self, exemplar: int) -> Int64:
        """The live pins that an indexed pin answers for, int64, ascending."""
        members, at = [], int(self._following[exemplar])
        while at != NOBODY:
            if self._last[at] != GONE:
                members.append(at)
            at = int(self._following[at])
        return np.array(members, np.int64)

    def _is(self, ordinal: int, indexed: bool = False) -> bool:
        if not 0 <= ordinal < self._n:
            return False
        return bool(self._last[ordinal] >= 0 if indexed else self._last[ordinal] != GONE)

    def _remember(self, *ordinals: int) -> None:
        """What these pins are now, for the end of a trial."""
        if self._before is not None:
            self._before += [
                (ordinal, int(self._following[ordinal]), int(self._last[ordinal]))
                for ordinal in ordinals
            ]

    def _grow(self, n: int) -> None:
        if n > len(self._last):
            room = max(1024, 2 * len(self._last), n)
            for name in ("_following", "_last"):
                array = np.full(room, NOBODY, np.int32)
                array[: self._n] = getattr(self, name)[: self._n]
                setattr(self, name, array)


@numba.njit(cache=True, nogil=True)
def _add(following, last, ordinal, exemplar):  # type: ignore[no-untyped-def]
    following[ordinal] = NOBODY
    if exemplar == NOBODY:
        last[ordinal] = ordinal
    else:
        last[ordinal] = FOLLOWER
        following[last[exemplar]] = ordinal
        last[exemplar] = ordinal


@numba.njit(cache=True, nogil=True)
def _end(following, last, ordinal):  # type: ignore[no-untyped-def]
    """End a live pin. Of an exemplar's list, what is behind the first live member stays a list."""
    tail = last[ordinal]
    last[ordinal] = GONE
    if tail == FOLLOWER:
        return NOBODY
    elected = following[ordinal]
    while elected != NOBODY and last[elected] == GONE:
        elected = following[elected]
    if elected != NOBODY:
        last[elected] = tail
    return elected


@numba.njit(cache=True, nogil=True)
def _replay(following, last, n, ordinals, exemplars, previous, elected):  # type: ignore[no-untyped-def]
    """How many pins were elected, and the first row that cannot be right, or -1."""
    count = 0
    for row in range(len(ordinals)):
        ended, ordinal, exemplar = previous[row], ordinals[row], exemplars[row]
        if ended != NOBODY:
            if ended < 0 or ended >= n or last[ended] == GONE:
                return count, row
            successor = _end(following, last, ended)
            if successor != NOBODY:
                elected[count] = successor
                count += 1
        if ordinal != NOBODY:
            if ordinal != n or exemplar >= n or exemplar < NOBODY:
                return count, row
            if exemplar != NOBODY and last[exemplar] < 0:
                return count, row
            _add(following, last, ordinal, exemplar)
            n += 1
    return count, -1
