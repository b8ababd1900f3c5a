"""`neardup repair`: whatever is damaged, the tables are afterwards as they were, or facts are
named."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from neardup.answers.refold import Evidences
from neardup.answers.remake import Work, segments
from neardup.answers.repair import Repair
from neardup.answers.verify import verify
from neardup.cli.main import cli
from neardup.clusters.generations import prepare_again, prepared_generation, publish_alone
from neardup.clusters.level import require_level
from neardup.index.from_log import spans_between
from neardup.index.plans import ensure_plan
from neardup.schemas.errors import CompactionError, LakeError, StreamError
from neardup.schemas.lake import Lake
from neardup.schemas.tables import TABLES
from tests.worlds import CURRENT, EVIDENCE, World

FLUSH_PINS = 16
EVIDENCES = Evidences(((0, EVIDENCE),))


class Placed(World):
    """Its events have places in a topic, each its own."""

    def _row(self, pin_id: str, offset: int, kind: str, **columns: Any) -> dict[str, Any]:
        return super()._row(pin_id, 1000 * self.batch_seq + offset, kind, **columns)


def repair(path: Path, said: list[str] | None = None) -> Repair:
    words = [] if said is None else said
    return Repair(path, lambda lake: EVIDENCES, FLUSH_PINS, words.append)


def world(folder: Path, compacted: bool, batches: int = 8) -> Path:
    """A lake of random events with people's words and segments, compacted or not."""
    world = Placed(folder, seed=5)
    for batch in range(batches):
        world.events(9)
        if batch % 3 == 2:
            world.speak()
        if compacted and batch == 4:
            world.compact()
    ensure_plan(world.lake)
    segments(Work(world.lake, folder / "aside", lambda lake: EVIDENCES, FLUSH_PINS))
    report = verify(world.lake.path)
    assert report.ok, [outcome for outcome in report.outcomes if not outcome.ok]
    assert Lake(world.lake.path).table("segments").partitions()
    return world.lake.path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world(tmp_path_factory.mktemp("compacted"), True)


@pytest.fixture(scope="module")
def never_compacted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world(tmp_path_factory.mktemp("stream"), False)


@pytest.fixture
def path(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "lake", ignore=shutil.ignore_patterns("_dam*")))


def contents(path: Path) -> dict[str, list[str]]:
    lake = Lake(path)
    tables = {name: lake.read(name) for name in TABLES}
    without = {
        name: table.drop_columns([c for c in ("written_at",) if c in table.column_names])
        for name, table in tables.items()
    }
    return {name: sorted(map(repr, table.to_pylist())) for name, table in without.items()}


def lose(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def spoil(file: Path) -> None:
    data = bytearray(file.read_bytes())
    for at in range(4, len(data) - 400):
        data[at] ^= 0x5A
    file.write_bytes(data)


def newest_commit(path: Path, name: str) -> Path:
    return sorted((path / name / "_delta_log").glob("*.json"))[-1]


def first_commit(path: Path, name: str) -> Path:
    return sorted((path / name / "_delta_log").glob("*.json"))[0]


def files_of(path: Path, name: str) -> list[Path]:
    return [Path(uri) for uri in Lake(path).table(name).file_uris()]


@pytest.mark.parametrize(
    ("name", "which", "harm"),
    [
        ("segments", 0, lose),
        ("segments", -1, spoil),
        ("clusters", 0, cut),
        ("clusters", -1, lose),
        ("cluster_history", 0, lose),
        ("cluster_history", -1, cut),
    ],
)
def test_a_derived_table_comes_back(
    path: Path, name: str, which: int, harm: Callable[[Path], None]
) -> None:
    before, current = contents(path), Lake(path).sql(CURRENT)
    harmed = sorted(files_of(path, name), key=lambda file: file.stat().st_mtime)[which]
    harm(harmed)
    assert not repair(path).look()
    report = repair(path).run()
    assert report.ok, [outcome for outcome in report.outcomes if not outcome.ok]
    after = contents(path)
    differing = {table for table in before if before[table] != after[table]}
    if differing:  # what a compaction wrote cannot be made again: another generation took its place
        assert differing <= {"clusters", "generations", "cluster_history"}
        old = {row["ordinal"]: row["cluster_id"] for row in current.to_pylist()}
        new = {row["ordinal"]: row["cluster_id"] for row in Lake(path).sql(CURRENT).to_pylist()}
        assert old.keys() == new.keys()
        kept = sum(old[pin] == new[pin] for pin in old)
        assert kept >= 0.5 * len(old), (kept, len(old))
    assert list((path / "_damaged").rglob(harmed.name)) or harm is lose
    assert repair(path).look(), "nothing is left to do"


def test_what_the_stream_alone_wrote_comes_back_row_by_row(
    never_compacted: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(never_compacted, tmp_path / "lake"))
    before = contents(path)
    for name in ("clusters", "cluster_history", "segments"):
        for file in files_of(path, name)[::2]:
            spoil(file)
    assert repair(path).run().ok
    assert contents(path) == before


@pytest.mark.parametrize(
    ("name", "commit", "harm"),
    [
        ("pins", newest_commit, cut),
        ("pins", first_commit, lose),
        ("clusters", newest_commit, cut),
        ("segments", first_commit, cut),
        ("generations", first_commit, lose),
    ],
)
def test_a_log_that_is_lost_or_cut_is_made_again_from_the_data(
    path: Path, name: str, commit: Callable[[Path, str], Path], harm: Callable[[Path], None]
) -> None:
    before = contents(path)
    harm(commit(path, name))
    with pytest.raises(LakeError, match=rf"(?s){name}.*neardup repair"):
        Lake(path)
    assert f"files of {name}" in {o.check for o in verify(path).outcomes if o.wrong}
    assert repair(path).run().ok
    assert contents(path) == before


@pytest.fixture
def carried(tmp_path: Path) -> Path:
    """The lake of a world whose generation 2 began with files of generation 1; a batch came since.

    The last batch before it was a person's word, so every pin has a row in those files.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neardup.clusters.compaction.ROWS_A_PIN", 1e9)
        made = Placed(tmp_path, seed=21)
        for step in ("events", "events", "compact", "events", "unlink", "compact", "events"):
            if step == "unlink":
                one, other, *_ = max(made.parts(), key=len)
                names = {ordinal: pin_id for pin_id, ordinal in made.live.items()}
                made.say("unlink", pin_id=names[one], other=names[other])
            else:
                made.events(9) if step == "events" else made.compact()
    assert Lake(made.lake.path).current_generation() == 2
    return made.lake.path


def written_by_compaction(path: Path, generation: int) -> Path:
    """The file with what the compaction itself wrote, beside those that it carried over."""
    (file,) = (
        file
        for file in files_of(path, "clusters")
        if f"generation={generation}/" in str(file)
        and (rows := pq.read_table(file, partitioning=None))["component"].null_count < len(rows)
        and file.stat().st_nlink == 1
    )
    return file


@pytest.mark.parametrize("killed", [False, True])
def test_what_a_compaction_changed_is_lost_and_what_it_carried_over_is_there(
    carried: Path, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pins then seem to be where they were before it, and no check could tell."""
    folded = Lake(Path(shutil.copytree(carried, carried.parent / "folded")))
    prepare_again(folded, 0)
    prepared = prepared_generation(folded)
    assert prepared is not None
    publish_alone(folded, prepared, EVIDENCE)  # the whole log, as the stream alone folds it
    lose(written_by_compaction(carried, 2))
    if killed:
        with monkeypatch.context() as patch:
            patch.setattr("neardup.answers.remake.fold_anew", _killed)
            with pytest.raises(KeyboardInterrupt):
                repair(carried).run()
    said: list[str] = []
    assert not repair(carried, said).look()
    assert ("cut off" if killed else "damaged  clusters") in said[0]
    assert repair(carried).run().ok
    lake = Lake(carried)
    assert lake.current_generation() == 3, "the log was folded into a generation of its own"
    assert lake.sql(PARTS) == folded.sql(PARTS)
    assert not list(carried.glob(".clusters*"))
    assert repair(carried).look(), "nothing is left to do"


PARTS = """
SELECT list_sort(list(ordinal)) AS pins FROM clusters_current GROUP BY cluster_id ORDER BY pins
"""


def _killed(*arguments: Any) -> NoReturn:
    raise KeyboardInterrupt


def test_an_older_generation_that_lost_rows_is_dropped(carried: Path) -> None:
    current = Lake(carried).sql(CURRENT).sort_by("ordinal")
    lose(next(file for file in files_of(carried, "clusters") if "generation=1/" in str(file)))
    assert repair(carried).run().ok
    lake = Lake(carried)
    assert lake.sql(CURRENT).sort_by("ordinal") == current
    with pytest.raises(CompactionError, match="not there any more"):
        prepare_again(lake, 1)
    assert 1 not in lake.read("clusters", ["generation"])["generation"].to_pylist()


def test_the_whole_log_of_a_table_is_lost(path: Path) -> None:
    before = contents(path)
    for name in ("pins", "segments"):
        shutil.rmtree(path / name / "_delta_log")
    with pytest.raises(LakeError, match="neardup repair"):
        Lake.create(path)  # it does not begin a new table in its place
    assert repair(path).run().ok
    assert contents(path) == before


def test_files_of_a_compaction_and_those_it_replaced_are_counted_once(path: Path) -> None:
    before = contents(path)
    for name in ("pins", "clusters"):
        Lake(path).table(name).optimize.compact()
    for name in ("pins", "clusters"):
        cut(newest_commit(path, name))
    assert repair(path).run().ok
    assert contents(path) == before


@pytest.mark.parametrize("name", ["pins", "overrides"])
def test_facts_are_named_and_nothing_is_changed(path: Path, name: str) -> None:
    harmed = files_of(path, name)[0]
    rows = Lake(path).dataset(name).count_rows()
    lose(harmed)
    lose(files_of(path, "segments")[0])
    before = sorted(file for file in path.rglob("*") if file.is_file())
    with pytest.raises(LakeError, match="put these files back from a backup") as refused:
        repair(path).run()
    said = str(refused.value)
    assert str(harmed) in said and "it is missing; it held" in said and rows
    if name == "pins":
        assert "batch_seq" in said and "offset" in said
    after = sorted(file for file in path.rglob("*") if file.is_file())
    assert [file for file in before if file not in after] == []


def test_facts_come_back_with_their_file(path: Path, tmp_path: Path) -> None:
    before = contents(path)
    harmed = files_of(path, "pins")[0]
    backup = shutil.copyfile(harmed, tmp_path / "backup")
    spoil(harmed)
    with pytest.raises(LakeError, match="neardup repair"):
        Lake(path).read("pins")
    with pytest.raises(LakeError, match="backup"):
        repair(path).run()
    shutil.copyfile(backup, harmed)
    assert repair(path).run().ok and contents(path) == before


def test_records_are_given_up_only_if_somebody_says_so(path: Path) -> None:
    lake = Lake(path)
    for offset in (900, 901):
        row = {"topic_id": "t", "partition": 0, "offset": offset, "reason": "not_json"}
        lake.append_rows("quarantine", [{**row, "detail": "", "kafka_time": 0}])
    lose(files_of(path, "quarantine")[0])
    with pytest.raises(LakeError, match="--accept-loss"):
        repair(path).run()
    assert repair(path).run(accept_loss=True).ok
    assert Lake(path).dataset("quarantine").count_rows() == 1


def test_rows_of_generations_that_are_lost(path: Path) -> None:
    current = Lake(path).sql(CURRENT).sort_by("pin_id")
    for file in files_of(path, "generations"):
        lose(file)
    report = repair(path).run()
    assert report.ok, [outcome for outcome in report.outcomes if not outcome.ok]
    assert Lake(path).sql(CURRENT).sort_by("pin_id") == current


@pytest.mark.parametrize(("compacted", "batches"), [(False, 5), (True, 7), (True, 3)])
def test_a_log_that_lost_its_end_is_refused_and_the_rest_taken_back(
    tmp_path: Path, compacted: bool, batches: int
) -> None:
    """`pins` from a backup: afterwards the lake is what it was then; the compaction may be gone."""
    (tmp_path / "then").mkdir()
    then = world(tmp_path / "then", compacted, batches)
    (tmp_path / "now").mkdir()
    path = world(tmp_path / "now", compacted)
    shutil.rmtree(path / "pins")
    shutil.copytree(then / "pins", path / "pins")
    assert "ahead" in {one.check for one in verify(path).outcomes if one.wrong}
    pins = Lake(path).dataset("pins").count_rows(filter=pc.field("kind") == "add")
    with pytest.raises(LakeError, match=r"lost its end.*`clusters` knows batch.*neardup repair"):
        require_level(Lake(path), pins)
    assert repair(path).run().ok
    require_level(Lake(path), pins)
    expected, found = contents(then), contents(path)
    assert found.pop("overrides") >= expected.pop("overrides"), "what people said is a fact"
    assert compacted or found == expected
    assert parts(path) == parts(then)
    assert repair(path).look(), "nothing is left to do"


def parts(path: Path) -> set[frozenset[str]]:
    """The clusters that readers see, as sets of pins."""
    clusters: dict[int, set[str]] = {}
    for row in Lake(path).rows(CURRENT):
        clusters.setdefault(row["cluster_id"], set()).add(row["pin_id"])
    return {frozenset(pins) for pins in clusters.values()}


def test_a_lost_plan_is_that_of_the_segments(path: Path) -> None:
    plan = Lake(path).rows("SELECT version FROM plans")
    for file in files_of(path, "plans"):
        lose(file)
    assert repair(path).run().ok
    assert Lake(path).rows("SELECT version FROM plans") == plan


def test_a_table_that_is_gone(path: Path) -> None:
    before = contents(path)
    shutil.rmtree(path / "segments")
    assert repair(path).run().ok
    assert contents(path) == before


def test_a_repair_that_is_killed_between_two_renames_is_finished(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(path)
    lose(files_of(path, "segments")[0])
    rename = Path.rename

    def once(source: Path, target: Path) -> Path:
        if source.parent.name == "_repair":
            raise KeyboardInterrupt
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", once)
    with pytest.raises(KeyboardInterrupt):
        repair(path).run()
    monkeypatch.undo()
    assert not (path / "segments").exists()
    assert repair(path).run().ok
    assert contents(path) == before


def test_nobody_else_may_write(path: Path) -> None:
    with Lake(path).lease("stream"), pytest.raises(StreamError, match="stop it first"):
        repair(path).run()


def test_the_command_says_what_it_would_do_and_does_it(path: Path, tmp_path: Path) -> None:
    config = tmp_path / "neardup.toml"
    config.write_text(f'[lake]\npath = "lake"\n[stream]\nflush_pins = {FLUSH_PINS}\n', "utf-8")
    run = ["repair", "--config", str(config)]
    assert CliRunner().invoke(cli, [*run, "--dry-run"]).output == "Nothing is wrong.\n"
    harmed = files_of(path, "segments")[0]
    cut(harmed)
    before = sorted(path.rglob("*"))
    said = CliRunner().invoke(cli, [*run, "--dry-run"])
    assert said.exit_code == 1 and "damaged  segments" in said.output
    assert str(harmed) in said.output and "segment_id" in said.output
    assert sorted(path.rglob("*")) == before
    done = CliRunner().invoke(cli, run)
    assert done.exit_code == 0, done.output
    assert "All checks of `neardup verify` hold." in done.output


def test_spans_follow_one_another() -> None:
    assert spans_between([], 40, 16) == [(0, 16), (16, 32)]
    assert spans_between([(16, 32)], 40, 16) == [(0, 16)]
    assert spans_between([(16, 30)], 40, 16) == [(0, 16), (30, 32)]
    assert spans_between([(10, 20), (40, 48)], 70, 16) == [
        *((0, 10), (20, 32), (32, 40), (48, 64)),
    ]
