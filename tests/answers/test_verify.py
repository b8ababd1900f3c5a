"""`neardup verify`: a sound lake passes, and whatever is changed in it is what it names."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from neardup.answers.checks.snapshot import READ_ORDER
from neardup.answers.verify import CHECKS, verify
from neardup.cli.main import cli
from neardup.clusters.ledger import load_store
from neardup.index.store import PinStore
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake
from tests.answers.park import loss, park, rewrite, segment_rows
from tests.lakes import garden, link

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("park")
    (folder / "store").mkdir()
    park(folder / "lake", folder / "store")
    return folder / "lake"


@pytest.fixture
def lake(sound: Path, tmp_path: Path) -> Lake:
    return Lake(shutil.copytree(sound, tmp_path / "lake"))


def failing(lake: Lake) -> set[str]:
    return {outcome.check for outcome in verify(lake.path).outcomes if outcome.wrong}


def test_a_sound_lake_passes(lake: Lake) -> None:
    report = verify(lake.path)
    assert [outcome for outcome in report.outcomes if not outcome.ok] == []
    assert {outcome.check for outcome in report.outcomes} == {
        *(check.name for check in CHECKS),
        *(f"files of {name}" for name in READ_ORDER),
    }
    assert all("lost before" in note for note in report.notes), "offsets are tens here"


def test_gaps_that_somebody_accepted_are_not_told_again(lake: Lake) -> None:
    lake.append_rows("losses", [loss(offset, offset + 10) for offset in range(20, 130, 10)])
    assert verify(lake.path).notes == []


def test_so_does_one_without_segments(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    report = verify(garden(tmp_path / "lake", tmp_path / "store").path)
    assert report.ok and report.notes == []


def test_so_does_an_empty_one(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path)
    assert failing(lake) == {"generations"}, "none is published before the first start"
    with pytest.raises(LakeError, match=r"is lake\.path right"):
        verify(tmp_path / "elsewhere")


def one(rows: Rows, **values: Any) -> dict[str, Any]:
    """The one row that has these values."""
    (found,) = [row for row in rows if values.items() <= row.items()]
    return found


def changed(**where: Any) -> Callable[..., Callable[[Rows], Rows]]:
    """``changed(ordinal=3)(exemplar=4)``: the one row with the former gets the latter."""

    def to(**changes: Any) -> Callable[[Rows], Rows]:
        def change(rows: Rows) -> Rows:
            one(rows, **where).update(changes)
            return rows

        return change

    return to


def twice(**where: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [*rows, dict(one(rows, **where))]


def without(**where: Any) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        kept = [row for row in rows if not where.items() <= row.items()]
        assert len(kept) < len(rows)
        return kept

    return change


def more(like: str, **changes: Any) -> Callable[[Rows], Rows]:
    """A copy of a pin's newest row in generation 1, with other values."""

    def change(rows: Rows) -> Rows:
        return [*rows, {**one(rows, pin_id=like, generation=1, batch_seq=4), **changes}]

    return change


FIRST = "000000000000-000000000003"


def broken_block(rows: Rows) -> Rows:
    row = next(r for r in rows if r["block"] == "band-007" and r["segment_id"].startswith(FIRST))
    row["payload"] = row["payload"][:-1] + bytes([row["payload"][-1] ^ 1])
    return rows


def without_block(rows: Rows) -> Rows:
    return [r for r in rows if not (r["block"] == "ids" and r["segment_id"].startswith(FIRST))]


def without_first_segment(rows: Rows) -> Rows:
    return [row for row in rows if not row["segment_id"].startswith(FIRST)]


def renamed_segment(rows: Rows) -> Rows:
    return [{**row, "segment_id": row["segment_id"] + "-"} for row in rows]


G = 1 << 40

CASES: list[tuple[str, str, Callable[[Rows], Rows]]] = [
    ("positions", "pins", twice(pin_id="reed", kind="repeat")),
    ("positions", "quarantine", changed(offset=120)(offset=110)),
    ("order", "pins", changed(offset=130)(offset=105)),
    ("batches", "pins", changed(batch_seq=5)(batch_seq=7)),
    ("ordinals", "pins", changed(ordinal=7)(ordinal=11)),
    ("ordinals", "pins", changed(ordinal=7)(ordinal=8)),
    ("rows", "pins", changed(ordinal=4)(signature=b"short")),
    ("rows", "pins", changed(ordinal=4)(hasher="another")),
    ("rows", "pins", changed(kind="repeat", pin_id="reed")(kind="praise")),
    ("versions", "pins", changed(kind="delete")(previous=None)),
    ("versions", "pins", changed(kind="delete")(previous=1)),
    ("versions", "pins", changed(kind="repeat", pin_id="elm")(previous=0)),
    ("links", "pins", changed(ordinal=3)(links=[link(4, 60)])),  # newer
    ("links", "pins", changed(ordinal=3)(links=[link(3, 0)])),  # itself
    ("links", "pins", changed(ordinal=8)(links=[link(2, 60)])),  # deleted before
    ("links", "pins", changed(ordinal=5)(links=[link(0, 60)])),  # the version that it ends
    ("links", "pins", changed(ordinal=5)(links=[link(-7, 60)])),
    ("exemplars", "pins", changed(ordinal=4)(exemplar=3)),  # itself a follower then
    ("exemplars", "pins", changed(ordinal=8)(exemplar=2)),  # gone
    ("quarantine", "quarantine", twice(offset=120)),
    ("overrides", "overrides", without(sequence=0)),
    ("overrides", "overrides", changed(sequence=1)(sequence=2)),
    ("overrides", "overrides", changed(kind="forget")(forgets=5)),
    ("overrides", "pins", changed(kind="override")(offset=1)),
    ("ahead", "clusters", more("elm", batch_seq=9)),
    ("ahead", "cluster_history", changed(batch_seq=3)(batch_seq=6)),
    ("ahead", "models", changed(batch_seq=0)(batch_seq=7)),
    ("generations", "generations", changed(sequence=2)(sequence=3)),
    ("generations", "generations", changed(status="prepared")(generation=2)),
    ("generations", "generations", changed(sequence=2)(status="thrown away")),
    ("generations", "generations", changed(sequence=1)(through_batch_seq=9)),
    ("memberships", "clusters", without(generation=1, pin_id="oak-3")),
    ("memberships", "clusters", changed(generation=1, pin_id="oak-3")(ordinal=3)),
    ("memberships", "clusters", twice(generation=1, pin_id="oak-3")),
    ("memberships", "clusters", more("elm", pin_id="fern", ordinal=2)),
    ("heads", "clusters", changed(generation=1, pin_id="reed")(head="elm", head_ordinal=7)),
    ("heads", "clusters", changed(generation=1, pin_id="reed")(head_ordinal=5)),
    ("cluster-ids", "clusters", changed(generation=0, pin_id="reed")(cluster_id=2)),
    ("cluster-ids", "clusters", changed(generation=1, pin_id="reed")(cluster_id=2 * G)),
    ("cluster-ids", "clusters", changed(generation=1, pin_id="elm", batch_seq=3)(cluster_id=2)),
    ("plans", "plans", changed(sequence=0)(version="00000000")),
    ("plans", "plans", changed(sequence=0)(sequence=1)),
    ("plans", "plans", changed(sequence=0)(plan="{}}")),
    ("segment-spans", "segments", without_first_segment),
    ("segment-spans", "segments", renamed_segment),
    ("segment-blocks", "segments", broken_block),
    ("segment-blocks", "segments", without_block),
]


@pytest.mark.parametrize(("check", "table", "change"), CASES)
def test_what_is_changed_is_what_fails(
    lake: Lake, check: str, table: str, change: Callable[[Rows], Rows]
) -> None:
    rewrite(lake, table, change(lake.read(table).to_pylist()))
    assert failing(lake) == {check}


@pytest.mark.parametrize(
    "change",
    [
        {"held": [4]},  # of 4 and 5
        {"held": [3, 4, 5], "flip": 1},
        {"names": {5: "elsewhere"}},
    ],
)
def test_a_segment_that_is_not_what_the_log_says(
    lake: Lake, tmp_path: Path, change: dict[str, Any]
) -> None:
    (tmp_path / "store").mkdir()
    store = load_store(lake, PinStore(tmp_path / "store"))
    kept = [r for r in lake.read("segments").to_pylist() if r["segment_id"].startswith(FIRST)]
    rewrite(lake, "segments", [*kept, *segment_rows(lake, store, (3, 6), **change)])
    assert failing(lake) == {"segments"}


def test_a_segment_that_holds_what_never_was_indexed(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    store = load_store(lake, PinStore(tmp_path / "store"))
    rows = lake.read("pins").to_pylist()
    one(rows, ordinal=5).update(exemplar=3)  # oak-2, elected by that row
    rewrite(lake, "pins", rows)
    assert failing(lake) == {"segments"}
    kept = [r for r in lake.read("segments").to_pylist() if r["segment_id"].startswith(FIRST)]
    rewrite(lake, "segments", [*kept, *segment_rows(lake, store, (3, 6))])
    assert failing(lake) == set()


@pytest.mark.parametrize("name", READ_ORDER)
def test_a_file_that_is_lost_or_cut(lake: Lake, name: str) -> None:
    file = Path(lake.table(name).file_uris()[0])
    whole = file.read_bytes()
    for damage in (file.unlink, lambda: file.write_bytes(whole[:-9] + bytes(9))):
        damage()
        assert failing(lake) == {f"files of {name}"}
    file.write_bytes(whole)
    assert failing(lake) == set()


def test_every_check_has_a_case() -> None:
    covered = {check for check, _, _ in CASES} | {"segments"}
    assert covered == {check.name for check in CHECKS}


def test_a_purged_pin_and_a_generation_that_came_back_are_sound(lake: Lake) -> None:
    """As an erasure leaves `fern`, and as a rollback and a removal are written down."""
    gone = {"pin_id": "purged:5f", "signature": None, "links": None}
    rows = lake.read("pins").to_pylist()
    rewrite(lake, "pins", [{**r, **gone} if r["pin_id"] == "fern" else r for r in rows])
    rows = lake.read("clusters").to_pylist()
    purged = [{**r, "pin_id": "purged:5f"} if r["pin_id"] == "fern" else r for r in rows]
    rewrite(
        lake, "clusters", [{**r, "head": "purged:5f"} if r["head"] == "fern" else r for r in purged]
    )
    last = one(lake.read("generations").to_pylist(), sequence=1)
    for number, (generation, status) in enumerate(
        [(0, "prepared"), (0, "published"), (1, "removed")]
    ):
        row = {**last, "sequence": 3 + number, "generation": generation, "status": status}
        lake.append_rows("generations", [row])
    assert failing(lake) == set()


def test_what_a_batch_left_for_the_next_start_is_said(lake: Lake) -> None:
    lake.table("clusters").delete("generation = 1 AND batch_seq = 4")
    report = verify(lake.path)
    assert report.ok
    assert any("Batches 4 to 5 are in `pins` and not yet in `clusters`" in n for n in report.notes)


def test_the_command_says_what_fails_and_what_to_do(lake: Lake, tmp_path: Path) -> None:
    config = tmp_path / "neardup.toml"
    config.write_text('[lake]\npath = "lake"\n', "utf-8")
    run = ["verify", "--config", str(config)]
    whole = CliRunner().invoke(cli, run)
    assert whole.exit_code == 0 and "FAIL" not in whole.output, whole.output
    lake.table("clusters").delete("generation = 1 AND pin_id = 'oak-3'")
    said = CliRunner().invoke(cli, run)
    assert said.exit_code == 1
    assert "1 is not as that says" in said.output and "pin_id oak-3" in said.output
    assert "neardup compact" in said.output
    found = json.loads(CliRunner().invoke(cli, [*run, "--json"]).output)
    assert not found["ok"]
    assert one(found["outcomes"], check="memberships")["examples"][0]["pin_id"] == "oak-3"
