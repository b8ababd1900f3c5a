"""A life of a lake: whatever comes in whatever order, what must always hold is looked at."""

from collections import Counter
from itertools import combinations
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from neardup.clusters.generations import prepare_again, prepared_generation, publish_alone
from neardup.clusters.ledger import restore
from tests.worlds import CURRENT, EVIDENCE, World


class Life(RuleBasedStateMachine):
    """The naive model: which pins are live is a dict of the world's, what people said is a list."""

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.folder = Path(mkdtemp(prefix="neardup-life-"))
        self.world = World(self.folder, seed)
        self.gone: set[int] = set()
        self.seen: set[int] = set()

    @rule(n=st.integers(1, 8))
    def events_come(self, n: int) -> None:
        self.world.events(n)

    @rule()
    def a_person_speaks(self) -> None:
        self.world.speak()

    @precondition(lambda self: self.world.batch_seq > 0)
    @rule()
    def the_night(self) -> None:
        self.world.compact()
        parts = self.world.parts()
        self.world.compact()
        assert self.world.parts() == parts, "a second compaction changed what the first one made"

    @rule()
    def a_restart(self) -> None:
        world = self.world
        before = world.lake.sql(CURRENT).sort_by("ordinal")
        generation = world.lake.current_generation()
        world.ledger = restore(world.lake, generation, EVIDENCE, world.store)
        assert world.lake.sql(CURRENT).sort_by("ordinal").equals(before)
        standing = world.ledger.fold.standing(before["ordinal"].to_numpy())
        assert standing.cluster_ids.tolist() == before["cluster_id"].to_pylist()
        assert standing.heads.tolist() == before["head_ordinal"].to_pylist()

    @rule(back=st.integers(1, 2))
    def a_rollback(self, back: int) -> None:
        lake = self.world.lake
        generation = lake.current_generation() - back
        if generation < 0:
            return
        prepare_again(lake, generation)
        prepared = prepared_generation(lake)
        assert prepared is not None
        publish_alone(lake, prepared, EVIDENCE)
        assert lake.current_generation() == generation
        self.world.ledger = restore(lake, generation, EVIDENCE, self.world.store)
        self.gone.clear()  # an older generation brings its clusters back, as it should

    @invariant()
    def each_live_pin_is_in_one_cluster(self) -> None:
        if not hasattr(self, "world"):
            return
        rows = self.world.lake.rows(CURRENT)
        assert {row["pin_id"]: row["ordinal"] for row in rows} == self.world.live
        assert len(rows) == len(self.world.live)
        of = {row["ordinal"]: row["cluster_id"] for row in rows}
        assert all(of[row["head_ordinal"]] == row["cluster_id"] for row in rows)

    @invariant()
    def what_people_said_is_so(self) -> None:
        if not hasattr(self, "world"):
            return
        cluster = {row["pin_id"]: row["cluster_id"] for row in self.world.lake.rows(CURRENT)}
        sizes = Counter(cluster.values())
        said = [row for row in self.spoken() if row["kind"] != "forget"]
        groups = self.groups([(r["pin_id"], r["other"]) for r in said if r["kind"] != "unlink"])
        for group in groups:
            assert len({cluster[pin] for pin in group if pin in cluster}) <= 1, group
        for row in said:
            if row["kind"] == "block" and row["pin_id"] in cluster:
                assert sizes[cluster[row["pin_id"]]] == 1, row
            apart = row["other"] if row["kind"] == "unlink" else row["left"]
            if apart is not None and {row["pin_id"], apart} <= cluster.keys():
                assert cluster[row["pin_id"]] != cluster[apart], row

    @invariant()
    def ids_never_come_back(self) -> None:
        if not hasattr(self, "world"):
            return
        now = {row["cluster_id"] for row in self.world.lake.rows(CURRENT)}
        assert not now & self.gone, "the id of a cluster that was gone was given again"
        self.gone |= self.seen - now
        self.seen = now

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            rmtree(self.folder)

    def spoken(self) -> list[dict]:  # type: ignore[type-arg]
        """What was said and not taken back, by a loop of our own."""
        rows = self.world.lake.read("overrides").sort_by("sequence").to_pylist()
        taken = {row["forgets"] for row in rows}
        return [row for row in rows if row["sequence"] not in taken]

    def groups(self, pairs: list[tuple[str, str | None]]) -> list[set[str]]:
        """Pins that are together, naively: sets are joined until nothing changes."""
        sets = [{one, other} for one, other in pairs if other is not None]
        for _ in sets:
            for one, other in combinations(sets, 2):
                if one & other and one is not other:
                    one |= other
                    other |= one
        return sets


Life.TestCase.settings = settings(
    max_examples=5, stateful_step_count=12, deadline=None, print_blob=True
)
TestLife = Life.TestCase


def test_the_model_can_fail() -> None:
    """A lake in which a live pin has no membership is noticed."""
    life = Life()
    life.begin(seed=3)
    life.events_come(6)
    life.each_live_pin_is_in_one_cluster()
    life.world.lake.table("clusters").delete("true")
    with pytest.raises(AssertionError):
        life.each_live_pin_is_in_one_cluster()
    life.teardown()
