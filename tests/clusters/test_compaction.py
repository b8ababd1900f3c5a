"""Compactions of what changed, against one compaction of the whole log, on random histories."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow.dataset as ds
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neardup.answers.verify import verify
from neardup.clusters import compaction
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

STEPS = ["events", "speak", "compact", "tidy"]
ANY = 1e9
"""A bound that every generation keeps."""


def live(world: World, steps: list[str]) -> None:
    """Do these; events come by up to a dozen."""
    for step in steps:
        if step == "events":
            world.events(int(world.rng.integers(1, 12)))
        elif step == "tidy":
            world.lake.table("clusters").optimize.compact()
        else:
            getattr(world, step)()


def broken(world: World) -> set[str]:
    """The promises about memberships that the tables break."""
    checks = {"memberships", "heads", "cluster-ids", "generations"}
    return checks & {one.check for one in verify(world.lake.path).outcomes if one.wrong}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.lists(st.sampled_from(STEPS), min_size=2, max_size=9),
    rows_a_pin=st.sampled_from([0.0, compaction.ROWS_A_PIN, ANY]),
)
def test_what_changed_alone_gives_what_the_whole_log_gives(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[str], rows_a_pin: float
) -> None:
    world = World(tmp_path_factory.mktemp("world"), seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "ROWS_A_PIN", rows_a_pin)
        live(world, ["events", *steps, "events", "compact"])
    assert not broken(world)
    found = world.parts()
    whole = prepare(world.lake, recipe(model="another, so all of it"), Here(world.lake))
    if not world.live:  # all were deleted
        assert whole is None and not found
        return
    assert whole is not None
    assert (whole.figures["split"], whole.figures["merged"]) == (0, 0)
    prepared = prepared_generation(world.lake)
    assert prepared is not None
    publish_alone(world.lake, prepared, EVIDENCE, whole.history)
    assert world.parts() == found


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.lists(st.sampled_from(STEPS), max_size=9),
    last=st.sampled_from([["events"], ["speak"], ["events", "tidy"], ["delete"]]),
)
def test_carried_over_or_written_a_generation_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[str], last: list[str]
) -> None:
    world = World(tmp_path_factory.mktemp("world"), seed)
    lake = world.lake
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "ROWS_A_PIN", ANY)
        live(world, ["events", "events", "compact", *steps, *last])
        generation = lake.current_generation() + 1
        carried = begun(world, generation)
        if not carried:  # nothing happened since
            return
        rows = lake.dataset("clusters").count_rows(filter=ds.field("generation") == generation)
        lake.table("clusters").delete(f"generation = {generation}")
        lake.table("generations").delete(f"generation = {generation}")
        patch.setattr(compaction, "ROWS_A_PIN", 0.0)
        written = begun(world, generation)
    assert carried == written
    assert len(written) == len(world.live) <= rows


def begun(world: World, generation: int) -> list[dict[str, Any]]:
    """The members of the generation that a compaction writes now, and their components."""
    lake = world.lake
    if prepare(lake, recipe(), Here(lake)) is None:
        return []
    own = ds.field("generation") == generation
    rows = lake.read("clusters", where=own & ds.field("component").is_valid())
    components = {row["ordinal"]: row["component"] for row in rows.sort_by("batch_seq").to_pylist()}
    members = lake.rows(
        f"SELECT pin_id, ordinal, cluster_id, head, head_ordinal, generation "
        f"FROM ({memberships(str(generation))}) ORDER BY ordinal"
    )
    return [{**row, "component": components[row["ordinal"]]} for row in members]


def test_what_stays_is_linked_and_what_changes_is_written(tmp_path: Path) -> None:
    world = World(tmp_path, 8)
    world.centres = np.packbits(world.rng.integers(0, 2, (90, 1024), np.uint8), axis=1)
    for _ in range(4):
        world.events(60)
    world.compact()
    before = files_of(world, 1)
    world.events(3)
    world.compact()
    linked = [file for file in files_of(world, 2) if file.st_nlink > 1]
    assert {file.st_ino for file in linked} == {file.st_ino for file in before}
    own = ds.field("generation") == 2
    batches = world.lake.read("clusters", ["batch_seq"], own)["batch_seq"].to_pylist()
    assert 0 < batches.count(max(batches)) < len(world.live) / 10
    assert not broken(world)


def files_of(world: World, generation: int) -> list[os.stat_result]:
    return [
        Path(file).stat()
        for file in world.lake.table("clusters").file_uris()
        if f"generation={generation}/" in file
    ]


def test_where_there_are_no_links_files_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(file: Path, name: Path) -> NoReturn:
        raise PermissionError("no links on this file system")

    monkeypatch.setattr("os.link", refused)
    monkeypatch.setattr(compaction, "ROWS_A_PIN", ANY)
    world = World(tmp_path, 9)
    live(world, ["events", "events", "compact", "events", "compact"])
    files = files_of(world, 2)
    assert len(files) > 1 and all(file.st_nlink == 1 for file in files)
    assert not broken(world)


def test_many_rows_are_written_anew(tmp_path: Path) -> None:
    world = World(tmp_path, 10)
    for night in range(12):
        world.events(40 if night == 0 else 6)
        world.compact()
        rows = world.lake.rows("SELECT count(*) AS n FROM clusters GROUP BY generation")
        assert all(row["n"] <= 1.25 * len(world.live) + 12 for row in rows)  # and a batch since
    assert not broken(world)


@pytest.mark.parametrize("seed", range(4))
def test_a_snapshot_is_what_the_view_shows(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "ROWS_A_PIN", ANY)
    world = World(tmp_path, seed)
    for step in ("events", "events", "compact", "events", "compact", "events", "speak", "events"):
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


def test_a_compaction_that_is_killed_before_files_are_carried_over_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "ROWS_A_PIN", ANY)
    found = []
    for killed in (False, True):
        world = World(tmp_path / str(killed), 12)
        live(world, ["events", "events", "compact", "events", "events"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compaction, "crash_point", _stop)
            if killed:
                with pytest.raises(KeyboardInterrupt):
                    world.compact()
        world.compact()
        assert not broken(world)
        found.append(world.lake.sql(CURRENT).sort_by("ordinal"))
    assert found[0] == found[1]


def _stop(place: str) -> None:
    if place == "compaction.changed":
        raise KeyboardInterrupt


def test_the_rows_of_a_killed_compaction_are_removed(tmp_path: Path) -> None:
    world = World(tmp_path, 6)
    world.events(12)
    left = world.lake.read("clusters").to_pylist()
    world.lake.append_rows("clusters", [{**row, "generation": 1, "head": "?"} for row in left])
    world.compact()
    rows = world.lake.rows("SELECT * FROM clusters WHERE generation = 1")
    assert len(rows) == len(world.live) and all(row["head"] != "?" for row in rows)
