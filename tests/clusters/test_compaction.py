"""Compactions of what changed, against one compaction of the whole log, on random histories."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neardup.clusters.compaction import prepare
from neardup.clusters.evidence import Evidence
from neardup.clusters.generations import (
    prepare_again,
    prepared_generation,
    publish_alone,
    remove_outdated,
)
from neardup.clusters.ledger import restore
from neardup.clusters.recompute import Recipe
from neardup.clusters.snapshot import snapshot
from neardup.clusters.work import Here
from neardup.schemas.errors import CompactionError
from neardup.schemas.views import memberships
from tests.worlds import CURRENT, EVIDENCE, RADIUS, THRESHOLD, World, recipe, score


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.lists(st.sampled_from(["events", "speak", "compact"]), min_size=2, max_size=9),
)
def test_what_changed_alone_gives_what_the_whole_log_gives(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[str]
) -> None:
    world = World(tmp_path_factory.mktemp("world"), seed)
    for step in ["events", *steps, "events"]:
        if step == "events":
            world.events(int(world.rng.integers(1, 12)))
        else:
            getattr(world, step)()
    world.compact()
    found = world.parts()
    whole = prepare(world.lake, recipe(model="another, so all of it"), Here(world.lake))
    assert whole is not None
    assert (whole.figures["split"], whole.figures["merged"]) == (0, 0)
    prepared = prepared_generation(world.lake)
    assert prepared is not None
    publish_alone(world.lake, prepared, EVIDENCE, whole.history)
    assert world.parts() == found


@pytest.mark.parametrize("seed", range(4))
def test_a_snapshot_is_what_the_view_shows(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path, seed)
    for step in ("events", "events", "compact", "events", "speak", "events"):
        world.events(12) if step == "events" else getattr(world, step)()
    now = snapshot(world.lake, world.lake.current_generation())
    shown = world.lake.sql(memberships(str(now.generation), now.through)).sort_by("ordinal")
    assert now.live.tolist() == shown["ordinal"].to_pylist()
    assert now.cluster_ids.tolist() == shown["cluster_id"].to_pylist()
    assert now.heads.tolist() == shown["head_ordinal"].to_pylist()
    assert now.pin_ids.take(now.live).to_pylist() == shown["pin_id"].to_pylist()


def test_nothing_new_is_no_generation(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    assert prepare(world.lake, recipe(), Here(world.lake)) is None, "the lake is empty"
    world.events(12)
    world.compact()
    assert world.lake.current_generation() == 1
    assert prepare(world.lake, recipe(), Here(world.lake)) is None
    world.events(3)
    assert prepare(world.lake, recipe(), Here(world.lake)) is not None


def test_too_many_moves_are_refused_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neardup.clusters.compaction.FEW", 0)
    world = World(tmp_path, 2)
    world.events(30)
    strict = Evidence(EVIDENCE.by_hamming, trusted=1e6)  # nobody is trusted, so all are alone
    other = Recipe(strict, score, RADIUS, THRESHOLD, "m")
    before = world.parts()
    dry = prepare(world.lake, other, Here(world.lake), dry_run=True)
    assert dry is not None and dry.figures["moved"] > 3 and dry.figures["split"] > 0
    with pytest.raises(CompactionError, match=r"would move [0-9]+ of [0-9]+ pins .* --force"):
        prepare(world.lake, other, Here(world.lake), max_moved_share=0.05)
    assert prepared_generation(world.lake) is None
    assert set(world.lake.read("clusters", ["generation"])["generation"].to_pylist()) == {0}
    assert prepare(world.lake, other, Here(world.lake), max_moved_share=1.0) is not None
    assert world.parts() == before, "nobody sees it yet"


def test_rolled_back_a_generation_has_the_batches_since(tmp_path: Path) -> None:
    world = World(tmp_path, 3)
    world.events(20)
    world.compact()
    first = {row[name] for row in world.lake.rows(CURRENT) for name in ("cluster_id",)}
    world.events(10)
    world.compact()
    world.events(10)
    lake = world.lake
    assert lake.current_generation() == 2
    for generation, why in ((7, "no generation 7: there are 0, 1, 2"), (2, "is the current one")):
        with pytest.raises(CompactionError, match=why):
            prepare_again(lake, generation)
    prepare_again(lake, 1)
    with pytest.raises(CompactionError, match="waits to be published"):
        prepare_again(lake, 0)
    prepared = prepared_generation(lake)
    assert prepared is not None and prepared["generation"] == 1
    publish_alone(lake, prepared, EVIDENCE)
    assert lake.current_generation() == 1
    now = lake.rows(CURRENT)
    assert sorted(row["ordinal"] for row in now) == sorted(world.live.values())
    assert first & {row["cluster_id"] for row in now}
    world.ledger = restore(lake, 1, EVIDENCE, world.store)
    world.events(5)
    world.compact()
    assert lake.current_generation() == 3, "numbers never come back"


def test_what_became_of_clusters_is_written_when_it_is_published(tmp_path: Path) -> None:
    world = World(tmp_path, 4)
    world.events(30)
    before = {row["ordinal"]: row["cluster_id"] for row in world.lake.rows(CURRENT)}
    strict = Evidence(EVIDENCE.by_hamming, trusted=1e6)
    outcome = prepare(world.lake, Recipe(strict, score, RADIUS, THRESHOLD, "m"), Here(world.lake))
    prepared = prepared_generation(world.lake)
    assert outcome is not None and prepared is not None
    told = world.lake.dataset("cluster_history").count_rows()
    publish_alone(world.lake, prepared, strict)  # from the ledgers of both, as the stream does it
    rows = world.lake.rows("SELECT * FROM cluster_history WHERE generation = 1")
    assert len(rows) == world.lake.dataset("cluster_history").count_rows() - told > 0
    known = {(row["cluster_id"], row["successor"]): row["shared"] for row in rows}
    expected = zip(*(column.tolist() for column in outcome.history[:3]), strict=True)
    assert known == {(old, new): shared for old, new, shared in expected}
    for row in world.lake.rows(CURRENT):
        old = before[row["ordinal"]]
        assert (old, row["cluster_id"]) in known or old == row["cluster_id"]


def test_a_removed_generation_is_gone_and_cannot_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neardup.clusters.generations.GRACE", timedelta(0))
    world = World(tmp_path, 5)
    for _ in range(3):
        world.events(10)
        world.compact()
    assert remove_outdated(world.lake, 2) == [0, 1]
    assert remove_outdated(world.lake, 2) == []
    assert set(world.lake.read("clusters", ["generation"])["generation"].to_pylist()) == {2, 3}
    with pytest.raises(CompactionError, match=r"not there any more: .* There are 2, 3"):
        prepare_again(world.lake, 1)
    assert len(world.lake.rows(CURRENT)) == len(world.live)


def test_the_rows_of_a_killed_compaction_are_removed(tmp_path: Path) -> None:
    world = World(tmp_path, 6)
    world.events(12)
    left = world.lake.read("clusters").to_pylist()
    world.lake.append_rows("clusters", [{**row, "generation": 1, "head": "?"} for row in left])
    world.compact()
    rows = world.lake.rows("SELECT * FROM clusters WHERE generation = 1")
    assert len(rows) == len(world.live) and all(row["head"] != "?" for row in rows)
