"""`neardup rebuild`: a lake of another hasher takes the place of the one that readers use.

Signatures of two hashers cannot be compared, so the new lake is made beside the old one from the
same events, by the stream's own code, while the old stream runs. What this module does is the
rest: what people said, the ids of clusters, and what became of clusters are carried over, and the
folders change places.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neardup.clusters.anew import publish_fold
from neardup.clusters.evidence import Evidence, evidence_of
from neardup.clusters.fold import NOBODY
from neardup.clusters.generations import generation_row, prepared_generation
from neardup.clusters.ledger import catch_up, load_store, restore
from neardup.clusters.people import OVERRIDES_TOPIC, commit_waiting
from neardup.index.store import PinStore
from neardup.models.registry import classifier_of
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings
from neardup.schemas.tables import CLUSTER_HISTORY

Int64 = npt.NDArray[np.int64]


class Behind(NamedTuple):
    """Events that the old lake has decided and the new one has not: of a partition of a topic."""

    topic_id: str
    partition: int
    first: int
    last: int
    events: int


def behind(old: Lake, new: Lake) -> list[Behind]:
    """What the new lake lacks: in neither its `pins` nor its `quarantine`."""
    with new.connect() as connection:
        connection.register("decided", old.dataset("pins"))
        rows = connection.execute(
            """SELECT topic_id, partition, min("offset"), max("offset"), count(*) FROM (
                SELECT topic_id, partition, "offset" FROM decided WHERE topic_id <> ?
                EXCEPT SELECT topic_id, partition, "offset" FROM pins
                EXCEPT SELECT topic_id, partition, "offset" FROM quarantine
            ) GROUP BY ALL ORDER BY ALL""",
            [OVERRIDES_TOPIC],
        ).fetchall()
    return [Behind(*row) for row in rows]


def lacking(lacks: list[Behind]) -> str:
    """What the new lake lacks, for people; nothing if it lacks nothing."""
    return "\n".join(
        f"The new lake lacks {one.events:,} events of partition {one.partition} of {one.topic_id}, "
        f"offsets {one.first} to {one.last}."
        for one in lacks
    )


def take_over(old: Lake, new: Lake, settings: Settings, accept_loss: bool) -> dict[str, int]:
    """As ``carry_over``, with nobody writing to either lake; ``settings``: of the new one.

    Raises LakeError if it lacks events and ``accept_loss`` is not set; StreamError if a stream or
    a compaction runs.
    """
    with ExitStack() as held:
        for lake in (old, new):
            for name in ("stream", "compact", "override"):
                held.enter_context(lake.lease(name))
        lacks = lacking(behind(old, new))
        if lacks and not accept_loss:
            raise LakeError(
                f"{lacks}\nStart its stream to have it take them in, or backfill those that Kafka "
                "has no longer; --accept-loss goes on without them. Nothing was changed."
            )
        return carry_over(old, new, evidence_of(classifier_of(new, settings), settings))


def carry_over(old: Lake, new: Lake, evidence: Evidence) -> dict[str, int]:
    """Give the new lake the old one's word, ids and history; figures. It may be done again.

    Nobody writes to either lake. ``evidence``: that of the new lake's classifier. Raises LakeError
    if something else was said in the new lake.
    """
    if prepared_generation(new) is not None:
        raise LakeError(
            f"A generation of {new.path} waits to be published: run `neardup compact` on it first."
        )
    said = _carry_word(old, new)
    _carry_history(old, new)
    generation = 1 + max(_generations(old) | _generations(new))
    replaced = _generations(new)
    for number in range(max(replaced) + 1, generation):  # those of the old lake
        generation_row(new, number, "prepared", through_batch_seq=-1)
        generation_row(new, number, "removed", through_batch_seq=-1)
    with tempfile.TemporaryDirectory(prefix="neardup-") as directory:
        store = load_store(new, PinStore(Path(directory)))
        ledger = restore(new, new.current_generation(), evidence, store)
        catch_up(new, ledger)
        before = _ids_before(old, store.pin_ids(np.arange(len(store))))
        new.remove_generation(generation)  # of a run that was killed
        carried = publish_fold(new, ledger, before, generation)
    for number in sorted(replaced):  # they had ids of their own
        generation_row(new, number, "removed", through_batch_seq=-1)
        new.remove_generation(number)
    return {**carried._asdict(), "said": said}


def _carry_word(old: Lake, new: Lake) -> int:
    """What people said, in its order; how many rows. It is heard now, as one batch."""
    theirs, ours = (lake.read("overrides").sort_by("sequence") for lake in (old, new))
    if not theirs.slice(0, len(ours)).select(ours.column_names).equals(ours):
        raise LakeError(
            f"In {new.path} people said other things than in {old.path}: say them in the latter, "
            "and begin the former again."
        )
    if len(theirs) > len(ours):
        new.append("overrides", theirs.slice(len(ours)))
    commit_waiting(new)
    return len(theirs)


def _carry_history(old: Lake, new: Lake) -> None:
    """What became of clusters before; in the new lake's own generations nobody saw any."""
    told = set(map(_key, new.read("cluster_history").to_pylist()))
    rows = [row for row in old.read("cluster_history").to_pylist() if _key(row) not in told]
    if rows:
        new.append("cluster_history", pa.Table.from_pylist(rows, schema=CLUSTER_HISTORY.schema))


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in CLUSTER_HISTORY.schema.names)


def _generations(lake: Lake) -> set[int]:
    return set(lake.read("generations", ["generation"])["generation"].to_pylist())


def _ids_before(old: Lake, pin_ids: pa.Array) -> Int64:
    """The cluster of each pin in the old lake, int64 [n]; NOBODY if it is not there."""
    rows = old.sql("SELECT pin_id, cluster_id FROM clusters_current")
    ids = dict(zip(rows["pin_id"].to_pylist(), rows["cluster_id"].to_pylist(), strict=True))
    return np.array([ids.get(pin_id, NOBODY) for pin_id in pin_ids.to_pylist()], np.int64)


def change_places(old: Path, new: Path) -> Path:
    """Have the new lake stand where the old one did; where that is now. It may be done again."""
    aside = old.with_name(f"{old.name}.before")
    if old.exists():
        if aside.exists():
            raise LakeError(f"{aside} is there already: move it elsewhere, and run this again.")
        old.rename(aside)
    new.rename(old)
    return aside
