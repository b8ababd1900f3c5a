"""The life of a generation: prepared beside the current one, published in one commit, removed.

The newest row of a generation in ``generations`` says how it stands. Rolling back is preparing an
older one again: it catches up, and is published, as a new one is.
"""

import tempfile
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.dataset as ds

from neardup.clusters.evidence import Evidence
from neardup.clusters.fold import NOBODY
from neardup.clusters.identity import History, history
from neardup.clusters.ledger import (
    Ledger,
    catch_up,
    history_rows,
    load_store,
    restore,
)
from neardup.index.store import PinStore
from neardup.schemas.crash import crash_point
from neardup.schemas.errors import CompactionError
from neardup.schemas.lake import Lake
from neardup.schemas.tables import GENERATIONS

Int64 = npt.NDArray[np.int64]

GRACE = timedelta(hours=2)
"""How long a generation stays after another took its place: longer than a reader needs it."""

_OWN = {"sequence", "generation", "status", "written_at"}
FIGURES = [name for name in GENERATIONS.schema.names if name not in _OWN]


def generation_row(lake: Lake, generation: int, status: str, **figures: Any) -> None:
    """Append a row to ``generations`` with the next sequence number."""
    sequences = lake.read("generations", ["sequence"])["sequence"].to_pylist()
    lake.append_rows(
        "generations",
        [
            {
                "sequence": max(sequences, default=-1) + 1,
                "generation": generation,
                "status": status,
                "written_at": datetime.now(UTC),
                **figures,
            }
        ],
    )


def prepared_generation(lake: Lake) -> dict[str, Any] | None:
    """The generation that waits to be published, as its newest row, or None."""
    waiting = [row for row in _newest_rows(_events(lake)) if row["status"] == "prepared"]
    return max(waiting, key=lambda row: row["sequence"], default=None)


def publish(
    lake: Lake, prepared: dict[str, Any], ledger: Ledger, before: Ledger | None = None
) -> None:
    """Bring a prepared generation up to the newest batch and make it the one that readers see.

    ``ledger`` is the prepared generation's, restored and best nearly caught up, ``before`` that of
    the current one, after the newest batch. Between two batches, or with no stream running. Readers
    see the generation before it until the last commit; a publisher that is killed earlier is
    repeated without a trace.
    """
    crash_point("publish.restored")
    catch_up(lake, ledger)
    changed = None
    if before is not None:
        pins = np.arange(len(ledger.fold))
        changed = history_between(
            before.fold.standing(pins).cluster_ids, ledger.fold.standing(pins).cluster_ids
        )
    announce(lake, prepared, ledger.through, changed)


def publish_alone(
    lake: Lake, prepared: dict[str, Any], evidence: Evidence, changed: History | None = None
) -> None:
    """Publish with no stream running; the caller holds the lease "stream".

    ``changed``: what clusters became, if that is known and no batch came since. Only if one did are
    the pins of the whole log needed.
    """
    through = prepared["through_batch_seq"]
    came = lake.dataset("pins").count_rows(filter=ds.field("batch_seq") > through)
    if changed is not None and not came:
        return announce(lake, prepared, through, changed)
    with tempfile.TemporaryDirectory(prefix="neardup-") as directory:
        store = load_store(lake, PinStore(Path(directory)))
        before = restore(lake, lake.current_generation(), evidence, store)
        catch_up(lake, before)
        publish(lake, prepared, restore(lake, prepared["generation"], evidence, store), before)


def history_between(before: Int64, after: Int64) -> History:
    """What clusters became, from where each pin version stands, int64 [n]; NOBODY: ended."""
    live = (before != NOBODY) & (after != NOBODY)
    return history(before[live], after[live])


def announce(lake: Lake, prepared: dict[str, Any], through: int, changed: History | None) -> None:
    """The last commits of a generation that is caught up: what became of clusters, then itself."""
    generation = prepared["generation"]
    if changed is not None and len(changed.old):
        lake.append("cluster_history", history_rows(changed, generation, through))
    crash_point("publish.caught_up")
    generation_row(lake, generation, "published", **{name: prepared[name] for name in FIGURES})


def prepare_again(lake: Lake, generation: int) -> None:
    """Have an older generation published once more. Raises CompactionError if it cannot be."""
    events = _events(lake)
    newest = {row["generation"]: row for row in _newest_rows(events)}
    published = sorted(g for g, row in newest.items() if row["status"] == "published")
    kept = ", ".join(map(str, published))
    if generation not in newest:
        raise CompactionError(f"There is no generation {generation}: there are {kept}.")
    if newest[generation]["status"] == "removed":
        when = newest[generation]["written_at"].isoformat(timespec="minutes")
        raise CompactionError(
            f"Generation {generation} is not there any more: it was removed at {when}, after newer "
            f"ones (compact.keep_generations says how many stay). There are {kept}."
        )
    waiting = prepared_generation(lake)
    if waiting is not None:
        raise CompactionError(
            f"Generation {waiting['generation']} is prepared and waits to be published: run "
            "`neardup compact` first, or start the stream."
        )
    if generation == lake.current_generation():
        raise CompactionError(
            f"Generation {generation} is the current one already: there are {kept}."
        )
    figures = {name: newest[generation][name] for name in FIGURES}
    generation_row(lake, generation, "prepared", **figures)


def remove_outdated(lake: Lake, keep: int) -> list[int]:
    """Delete the rows of generations that nobody needs any more; which.

    Their files go with the lake's next maintenance after its retention. The row that says so comes
    first, so that a removal which was cut off is finished by the next one.
    """
    events = _events(lake)
    newest = {row["generation"]: row for row in _newest_rows(events)}
    gone = outdated(events, keep, datetime.now(UTC))
    for generation in gone:
        figures = {name: newest[generation][name] for name in FIGURES}
        generation_row(lake, generation, "removed", **figures)
    unfinished = [g for g, row in newest.items() if row["status"] == "removed"]
    for generation in [*gone, *unfinished]:
        if lake.dataset("clusters").count_rows(filter=ds.field("generation") == generation):
            lake.remove_generation(generation)
    return gone


def outdated(events: list[dict[str, Any]], keep: int, now: datetime) -> list[int]:
    """Which generations may go, by the rows of ``generations``.

    Neither a prepared one, nor the ``keep`` last published, the current one among them, nor one
    that was current within GRACE.
    """
    published = [row for row in events if row["status"] == "published"]
    published.sort(key=lambda row: row["sequence"])
    recent: list[int] = []
    for row in reversed(published):
        if row["generation"] not in recent:
            recent.append(row["generation"])
    until = {row["generation"]: after["written_at"] for row, after in pairwise(published)}
    standing = {row["generation"]: row["status"] for row in _newest_rows(events)}
    return sorted(
        generation
        for generation in recent[keep:]
        if standing[generation] == "published" and now - until[generation] > GRACE
    )


def _events(lake: Lake) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lake.read("generations").to_pylist()
    return rows


def _newest_rows(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest row of each generation."""
    newest: dict[int, dict[str, Any]] = {}
    for row in sorted(events, key=lambda row: row["sequence"]):
        newest[row["generation"]] = row
    return list(newest.values())
