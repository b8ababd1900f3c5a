"""Who does the large part of a compaction: this process, or executors that share it."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from neardup.clusters.ascending import among, place
from neardup.clusters.components import forest
from neardup.clusters.evidence import Evidence, Links
from neardup.clusters.links import LoggedLinks, logged_links
from neardup.clusters.recompute import Pins, Recipe, recompute
from neardup.index.store import looks_of, signatures_of
from neardup.schemas.lake import Lake

Int64 = npt.NDArray[np.int64]

COLUMNS = ["ordinal", "signature", "looks", "links", "width", "height"]


class Live(NamedTuple):
    """Live pins: ``ordinals`` int64 [n], ascending; ``seen`` bool [n]: whether they have looks."""

    ordinals: Int64
    seen: npt.NDArray[np.bool_]


class Todo(NamedTuple):
    """Live pins of components of several, by ordinal.

    ``ordinals`` int64 [n], ascending; ``components`` int64 [n], labels; ``was_head`` bool [n];
    ``people``: what they said about pairs of these pins, by ordinal.
    """

    ordinals: Int64
    components: Int64
    was_head: npt.NDArray[np.bool_]
    people: Links


class Done(NamedTuple):
    """By ordinal, int64 [n] each: pins in any order, the oldest pin of their part, its head."""

    ordinals: Int64
    oldest: Int64
    heads: Int64


class Work(Protocol):
    """What can be shared out: it reads the log, and answers in arrays."""

    def forest(self, evidence: Evidence, live: Live) -> tuple[Int64, Int64]:
        """A forest of the trusted links between live pins, as (newer, older) ordinals."""

    def parts(self, recipe: Recipe, todo: Todo) -> Done:
        """The parts of components."""


class Here:
    """This process does the work, with the log's rows of these pins in memory: read once."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._rows: pa.Table | None = None

    def forest(self, evidence: Evidence, live: Live) -> tuple[Int64, Int64]:
        self._rows = self._read(live.ordinals)
        links = logged_links(self._rows["ordinal"], self._rows["links"])
        return trusted_forest(evidence, live, links)

    def parts(self, recipe: Recipe, todo: Todo) -> Done:
        rows = self._read(todo.ordinals) if self._rows is None else self._rows
        self._rows = None
        known = rows["ordinal"].to_numpy()
        return parts_of(recipe, todo, rows.filter(pa.array(among(todo.ordinals, known))))

    def _read(self, ordinals: Int64) -> pa.Table:
        """Pins are everywhere in the log, so all of it is read, and a batch is cut down at once:
        twice as fast as by a filter. An ordinal is an added pin's alone."""
        batches = self._lake.batches("pins", COLUMNS)
        is_wanted = np.zeros(ordinals.max(initial=-1) + 2, np.bool_)  # the last: any later pin
        is_wanted[ordinals] = True
        return pa.Table.from_batches([_of(is_wanted, batch) for batch in batches])


def _of(is_wanted: npt.NDArray[np.bool_], rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of wanted pins, bool by ordinal, of a stretch of the log."""
    own = pc.fill_null(rows.column("ordinal"), len(is_wanted)).to_numpy()
    places = np.minimum(own, len(is_wanted) - 1)
    return rows.take(pa.array(np.flatnonzero(is_wanted[places])))


def trusted_forest(evidence: Evidence, live: Live, links: LoggedLinks) -> tuple[Int64, Int64]:
    """A forest of those links that are trusted and lie between live pins."""
    held = links.where((links.scores >= evidence.trusted) & among(live.ordinals, links.older))
    held = held.where(among(live.ordinals, held.newer))
    newer, older = (place(live.ordinals, end) for end in held[:2])
    trusted = evidence.trusts(held.scores, live.seen[newer] & live.seen[older])
    return forest(held.newer[trusted], held.older[trusted])


def parts_of(recipe: Recipe, todo: Todo, rows: pa.Table) -> Done:
    """The parts of whole components; ``rows`` are their pins' in the log, COLUMNS, in any order."""
    rows = rows.sort_by("ordinal").combine_chunks()
    ordinals = rows.column("ordinal").to_numpy()
    at = place(todo.ordinals, ordinals)
    pins = Pins(
        signatures_of(rows.column("signature").combine_chunks()),
        looks_of(rows.column("looks").combine_chunks()),
        todo.components[at],
        _pixels(rows),
        todo.was_head[at],
    )
    logged = logged_links(rows.column("ordinal"), rows.column("links"))
    logged = logged.where(among(ordinals, logged.older))
    people = LoggedLinks(*todo.people)
    people = people.where(among(ordinals, people.newer) & among(ordinals, people.older))
    links = Links(
        place(ordinals, np.append(logged.newer, people.newer)),
        place(ordinals, np.append(logged.older, people.older)),
        np.append(logged.scores, people.scores),
    )
    found = recompute(recipe, pins, links)
    return Done(ordinals, ordinals[found.oldest], ordinals[found.heads])


def _pixels(rows: pa.Table) -> Int64:
    sides = (pc.fill_null(rows.column(side), 0).cast(pa.int64()) for side in ("width", "height"))
    pixels: Int64 = pc.multiply(*sides).to_numpy()
    return pixels
