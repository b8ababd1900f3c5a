"""A lake of another hasher takes the place of the old one: what people said and know stays."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.answers.verify import verify
from neardup.batch.rebuild import behind, carry_over, change_places
from neardup.cli.main import cli
from neardup.clusters.fold import FOUNDER_BITS, NOBODY
from neardup.clusters.identity import keep_ids, kept_ids
from neardup.schemas.errors import LakeError, StreamError
from neardup.schemas.lake import Lake
from tests.worlds import EVIDENCE, World

BITS = np.random.default_rng(99).permutation(1024)


class Told(World):
    """Its events have places in a topic, each its own; ``renewed``: of another hasher.

    That one's bits are the same in another order, and it misses other links.
    """

    def __init__(self, folder: Path, seed: int, renewed: bool = False) -> None:
        super().__init__(folder, seed)
        self.renewed = renewed

    def _signature(self) -> np.ndarray:
        bits = np.unpackbits(super()._signature())
        return np.packbits(bits[BITS] if self.renewed else bits)

    def _row(self, pin_id: str, offset: int, kind: str, **columns: Any) -> dict[str, Any]:
        if self.renewed and kind == "add":
            columns |= {"hasher": "other", "links": columns["links"][:1]}
        return super()._row(pin_id, 1000 * self.batch_seq + offset, kind, **columns)


def events(folder: Path, renewed: bool = False) -> World:
    folder.mkdir()
    world = Told(folder, 3, renewed)
    for _ in range(8):
        world.events(9)
    return world


@pytest.fixture
def lakes(tmp_path: Path) -> tuple[Lake, Lake]:
    """The old one was compacted, and people spoke; the new one has the same events."""
    old, new = events(tmp_path / "old"), events(tmp_path / "new", renewed=True)
    for _ in range(4):
        old.speak()
    old.compact()
    assert old.lake.dataset("overrides").count_rows()
    return old.lake, new.lake


def current(lake: Lake) -> dict[str, int]:
    rows = lake.rows("SELECT pin_id, cluster_id FROM clusters_current")
    return {row["pin_id"]: row["cluster_id"] for row in rows}


def parts(ids: dict[str, int]) -> set[frozenset[str]]:
    clusters: dict[int, set[str]] = {}
    for pin_id, cluster in ids.items():
        clusters.setdefault(cluster, set()).add(pin_id)
    return {frozenset(pins) for pins in clusters.values()}


def test_words_and_ids_are_carried_over(lakes: tuple[Lake, Lake]) -> None:
    old, new = lakes
    before = current(old)
    assert behind(old, new) == []
    figures = carry_over(old, new, EVIDENCE)
    after = current(new)
    assert after.keys() == before.keys()
    words = [lake.read("overrides").sort_by("sequence").to_pylist() for lake in lakes]
    assert words[0] == words[1]
    for together in parts(before) & parts(after):
        pin_id = min(together)
        assert after[pin_id] == before[pin_id]
    assert figures["kept"] > 0.8 * len(parts(before) & parts(after)) > 0
    report = verify(new.path)
    assert report.ok, [outcome for outcome in report.outcomes if not outcome.ok]


def test_it_may_be_done_again(lakes: tuple[Lake, Lake]) -> None:
    old, new = lakes
    carry_over(old, new, EVIDENCE)
    once, told = current(new), new.read("cluster_history")
    carry_over(old, new, EVIDENCE)
    old_ids = set(current(old).values())
    again = current(new)
    assert {pin: i for pin, i in again.items() if i in old_ids} == {
        pin: i for pin, i in once.items() if i in old_ids
    }
    assert parts(again) == parts(once)
    assert len(new.read("cluster_history")) >= len(told)
    assert verify(new.path).ok


def test_words_of_its_own_are_refused(lakes: tuple[Lake, Lake]) -> None:
    old, new = lakes
    row = old.read("overrides").sort_by("sequence").to_pylist()[0]
    new.append_rows("overrides", [{**row, "why": "another"}])
    with pytest.raises(LakeError, match="other things"):
        carry_over(old, new, EVIDENCE)


def test_the_command_waits_for_all_events_and_changes_places(tmp_path: Path) -> None:
    old, new = events(tmp_path / "old"), events(tmp_path / "new", renewed=True)
    old.events(5)
    configs = []
    for name in ("old", "new"):
        config = tmp_path / f"{name}.toml"
        config.write_text(f'[lake]\npath = "{name}/lake"\n', "utf-8")
        configs.append(str(config))
    run = ["rebuild", "--config", configs[0], "--new", configs[1]]
    said = CliRunner().invoke(cli, [*run, "--dry-run"])
    assert said.exit_code == 0 and "lacks 5 events of partition 0 of t" in said.output
    with pytest.raises(LakeError, match="Nothing was changed"):
        CliRunner().invoke(cli, run, catch_exceptions=False)
    new.events(5)
    with old.lake.lease("stream"), pytest.raises(StreamError):
        CliRunner().invoke(cli, run, catch_exceptions=False)
    before = current(new.lake)
    done = CliRunner().invoke(cli, run, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    place = Lake(tmp_path / "old" / "lake")
    assert parts(current(place)) == parts(before)
    assert current(Lake(tmp_path / "old" / "lake.before"))
    assert not (tmp_path / "new" / "lake").exists() and verify(place.path).ok


def test_places_are_changed_also_after_a_kill(tmp_path: Path) -> None:
    for name in ("lake", "lake.new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "which").write_text(name, "utf-8")
    (tmp_path / "lake").rename(tmp_path / "lake.before")  # and killed here
    change_places(tmp_path / "lake", tmp_path / "lake.new")
    assert (tmp_path / "lake" / "which").read_text("utf-8") == "lake.new"
    shutil.copytree(tmp_path / "lake", tmp_path / "lake.new")
    with pytest.raises(LakeError, match="is there already"):
        change_places(tmp_path / "lake", tmp_path / "lake.new")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_kept_ids(pins: list[tuple[int, int]]) -> None:
    """As ``keep_ids`` of the pins whose cluster before is known; other clusters have new ids."""
    old, folded = (np.array(column, np.int64) for column in zip(*pins, strict=True))
    ordinals = np.arange(len(pins)) * 3
    ids = kept_ids(old, ordinals, folded, 7)
    oldest = {f: int(ordinals[folded == f][0]) for f in folded.tolist()}
    known = old != NOBODY
    founders = np.array([oldest[f] for f in folded.tolist()], np.int64)
    assert (ids[known] == keep_ids(old[known], founders[known], 7)).all()
    for f in set(folded.tolist()):
        assert len(set(ids[folded == f].tolist())) == 1
        if not known[folded == f].any():
            assert ids[folded == f][0] == 7 << FOUNDER_BITS | oldest[f]
