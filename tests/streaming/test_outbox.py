"""Whatever the tables went through and wherever sending was cut off, a consumer ends where they do.

The tables are written here row by row, with a world of dictionaries that knows no fold.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from neardup.clusters.generations import generation_row
from neardup.schemas.changes import ClusterChange
from neardup.schemas.lake import Lake
from neardup.streaming.outbox import NOWHERE, Outbox, Position, Progress


class Place(NamedTuple):
    ordinal: int
    cluster: int


class World:
    """A lake, and where its live pins stand by generation: pin id -> place."""

    def __init__(self, path: Path, rng: np.random.Generator) -> None:
        self.lake, self.rng = Lake.create(path), rng
        self.current, self.batch_seq, self.ordinals, self.offset = 0, 0, 0, 0
        self.places: dict[int, dict[str, Place]] = {0: {}}
        self.heads: dict[int, dict[int, str]] = {0: {}}
        generation_row(self.lake, 0, "published", through_batch_seq=-1)

    def batch(self) -> None:
        """Some pins arrive, come again or go, and some stand elsewhere since."""
        before = self.places[self.current]
        places, log, ended = dict(before), [], {}
        for _ in range(self.rng.integers(1, 8)):
            pin_id = f"pin-{self.rng.integers(12)}"
            previous = places[pin_id].ordinal if pin_id in places else None
            if previous is not None and self.rng.random() < 0.3:
                ended[pin_id] = places.pop(pin_id).ordinal
                log.append(self.log_row(pin_id, "delete", None, previous))
            elif self.rng.random() < 0.8:
                places[pin_id] = Place(self.ordinals, self.some_cluster(self.current))
                log.append(self.log_row(pin_id, "add", self.ordinals, previous))
                self.ordinals += 1
        for pin_id in places:
            if self.rng.random() < 0.1:
                places[pin_id] = places[pin_id]._replace(cluster=self.some_cluster(self.current))
        gone = {p: o for p, o in ended.items() if p in before and p not in places}
        self.lake.append_rows("pins", log)
        self.write(self.current, places, gone)
        self.batch_seq += 1

    def publish(self) -> None:
        """Another fold of the same pins, or an older one, brought up to now."""
        last = max(self.places)
        generation = int(self.rng.integers(last + 2))
        before = self.places.get(generation, self.places[self.current])
        live, places = self.places[self.current], {}
        for pin_id, (ordinal, _) in live.items():
            known = pin_id in before and self.rng.random() < 0.6
            cluster = before[pin_id].cluster if known else self.some_cluster(generation)
            places[pin_id] = Place(ordinal, cluster)
        gone = {p: place.ordinal for p, place in before.items() if p not in places}
        self.write(generation, places, gone, whole=generation > last)
        self.batch_seq += 1  # a generation has rows of a batch once
        self.current = generation
        generation_row(self.lake, generation, "published", through_batch_seq=self.batch_seq - 1)

    def write(
        self, generation: int, places: dict[str, Place], gone: dict[str, int], whole: bool = False
    ) -> None:
        before = {} if whole else self.places.get(generation, {})
        were = {} if whole else self.heads.get(generation, {})
        heads = {}
        for pin_id in self.rng.permutation(sorted(places)).tolist():
            heads.setdefault(places[pin_id].cluster, pin_id)
        for cluster, head in were.items():
            if head in places and places[head].cluster == cluster and self.rng.random() < 0.8:
                heads[cluster] = head
        rows = [
            self.cluster_row(pin_id, place, heads[place.cluster], places, generation)
            for pin_id, place in places.items()
            if before.get(pin_id) != place
            or (heads[place.cluster] == pin_id != were.get(place.cluster))
        ]
        rows += [
            {"pin_id": p, "ordinal": o, "generation": generation, "batch_seq": self.batch_seq}
            for p, o in ({} if whole else gone).items()
        ]
        self.places[generation], self.heads[generation] = places, heads
        if rows:
            self.lake.append_rows("clusters", rows)

    def cluster_row(
        self, pin_id: str, place: Place, head: str, places: dict[str, Place], generation: int
    ) -> dict[str, object]:
        return {
            "pin_id": pin_id,
            "ordinal": place.ordinal,
            "cluster_id": place.cluster,
            "head": head,
            "head_ordinal": places[head].ordinal,
            "generation": generation,
            "batch_seq": self.batch_seq,
        }

    def log_row(
        self, pin_id: str, kind: str, ordinal: int | None, previous: int | None
    ) -> dict[str, object]:
        self.offset += 1
        return {
            "pin_id": pin_id,
            "kind": kind,
            "ordinal": ordinal,
            "previous": previous,
            "batch_seq": self.batch_seq,
            "topic_id": "t",
            "partition": 0,
            "offset": self.offset,
            "event_time": datetime.now(UTC),
        }

    def some_cluster(self, generation: int) -> int:
        return (generation << 40) + 1_000 + int(self.rng.integers(6))  # no founder's number

    def current_rows(self) -> set[tuple[str, int, str]]:
        rows = self.lake.rows("SELECT pin_id, cluster_id, head FROM clusters_current")
        return {(row["pin_id"], row["cluster_id"], row["head"]) for row in rows}


class Consumer:
    """Drops what is older than what it has seen of the same pin, and of the same head."""

    def __init__(self) -> None:
        self.pins: dict[str, ClusterChange] = {}
        self.heads: dict[int, ClusterChange] = {}

    def take(self, change: ClusterChange) -> None:
        for known, key in ((self.pins, change.pin_id), (self.heads, change.cluster_id)):
            if key not in known or known[key].sequence < change.sequence:
                known[key] = change

    def rows(self) -> set[tuple[str, int, str]]:
        return {
            (pin, change.cluster_id, self.heads[change.cluster_id].head)
            for pin, change in self.pins.items()
            if change.cluster_id is not None
        }


class Feed:
    """Sends to a consumer, sometimes only a part of a step, and starts again from its progress."""

    def __init__(self, world: World) -> None:
        self.world, self.consumer, self.progress = world, Consumer(), Progress()
        self.outbox = Outbox(world.lake, self.progress)

    def send(self, cut: bool) -> None:
        while (step := self.outbox.next_step()) is not None:
            self.progress = Progress(self.progress.sent, step.to)
            changes = [change for chunk in step.chunks() for change in chunk]
            assert len({change.pin_id for change in changes}) == len(changes) == len(step)
            if cut:
                part = self.world.rng.random(len(changes)) < 0.5  # partitions advance as they like
                for change, sent in zip(changes, part.tolist(), strict=True):
                    if sent:
                        self.consumer.take(change)
                self.outbox = Outbox(self.world.lake, self.progress)
                cut = False
                continue
            for change in changes:
                self.consumer.take(change)
            self.progress = Progress(step.to)


@pytest.mark.parametrize("seed", range(12))
def test_a_consumer_ends_where_the_tables_do(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = World(tmp_path / "lake", rng)
    feed = Feed(world)
    for _ in range(14):
        for _ in range(rng.integers(3)):
            world.publish() if rng.random() < 0.3 else world.batch()
        if rng.random() < 0.3:
            feed.outbox = Outbox(world.lake, feed.progress)
        feed.send(cut=rng.random() < 0.4)
        assert feed.consumer.rows() == world.current_rows()
        assert feed.outbox.behind() == 0


def test_of_a_generation_that_is_gone_everything_is_sent_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    world = World(tmp_path / "lake", rng)
    for _ in range(3):
        world.batch()
    feed = Feed(world)
    feed.send(cut=False)
    known = set(feed.consumer.pins)
    for _ in range(3):
        world.batch()
    while world.current == 0:
        world.publish()
    world.lake.remove_generation(0)
    feed.outbox = Outbox(world.lake, feed.progress)
    assert feed.outbox.behind() > 0
    feed.send(cut=False)
    assert feed.consumer.rows() == world.current_rows()
    assert known - {pin for pin, _, _ in feed.consumer.rows()}, "some have left since"


def test_the_sequence_of_a_step_is_the_same_when_it_is_made_again(tmp_path: Path) -> None:
    world = World(tmp_path / "lake", np.random.default_rng(6))
    for _ in range(4):
        world.batch()
    made = []
    for _ in range(2):
        outbox = Outbox(world.lake, Progress(NOWHERE, Position(0, 0, 1)))
        steps = [outbox.next_step() for _ in range(3)]
        made.append([step and list(step.chunks()) for step in steps])
    assert made[0] == made[1]
    assert [step[0][0].sequence for step in made[0]] == [(0, 1, 0), (0, 2, 0), (0, 3, 0)]
