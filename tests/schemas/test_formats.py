"""A lake of each format that was ever stored: it opens, or is migrated, or is refused."""

import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from neardup.answers.refold import Evidences
from neardup.answers.repair import Repair
from neardup.answers.verify import verify
from neardup.cli.main import cli
from neardup.clusters.ledger import catch_up, load_store, restore
from neardup.index.store import PinStore
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import FORMAT_KEY, Lake
from neardup.schemas.migrate import STEPS, migrate
from neardup.schemas.tables import FORMAT_VERSION
from tests.lakes import EVIDENCE, pin, write_batch

SAMPLES = Path(__file__).parent / "data"
CLUSTERS = {"rose": 0, "rose-copy": 0, "tulip": 1, "daisy": 4}


@pytest.fixture
def lake(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "lake"
    with zipfile.ZipFile(SAMPLES / f"lake-format-{request.param}.zip") as archive:
        archive.extractall(path)
    return path


def current(path: Path) -> dict[str, int]:
    rows = Lake(path).rows("SELECT pin_id, cluster_id FROM clusters_current")
    return {row["pin_id"]: row["cluster_id"] for row in rows}


def test_a_sample_of_each_format_is_stored() -> None:
    stored = {int(file.stem.rsplit("-", 1)[1]) for file in SAMPLES.glob("*.zip")}
    assert stored == {*STEPS, FORMAT_VERSION}


@pytest.mark.parametrize("lake", [FORMAT_VERSION], indirect=True)
def test_the_present_format_opens(lake: Path) -> None:
    assert current(lake) == CLUSTERS
    assert verify(lake).ok


@pytest.mark.parametrize("lake", [*STEPS], indirect=True)
def test_an_older_one_is_migrated_and_goes_on(lake: Path, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="run `neardup migrate`"):
        Lake(lake)
    with pytest.raises(LakeError, match="run `neardup migrate`"):
        Lake.create(lake)
    config = tmp_path / "neardup.toml"
    config.write_text('[lake]\npath = "lake"\n', "utf-8")
    done = CliRunner().invoke(cli, ["migrate", "--config", str(config)])
    assert done.exit_code == 0 and f"-> {FORMAT_VERSION}" in done.output, done.output
    assert current(lake) == CLUSTERS
    report = verify(lake)
    assert report.ok, [outcome for outcome in report.outcomes if not outcome.ok]
    (tmp_path / "store").mkdir()
    opened = Lake(lake)
    ledger = restore(opened, 0, EVIDENCE, load_store(opened, PinStore(tmp_path / "store")))
    catch_up(opened, ledger)
    write_batch(opened, ledger, [pin("iris", 3, 8, ordinal=5, signature=bytes(128), file_bytes=7)])
    assert current(lake) == {**CLUSTERS, "iris": 5}
    opened.maintain()
    assert sorted(opened.read("pins", ["file_bytes"])["file_bytes"].drop_null().to_pylist()) == [7]
    assert verify(lake).ok
    opened.rewrite("pins", lambda rows: rows)
    assert migrate(lake) == {} and verify(lake).ok


@pytest.mark.parametrize("lake", [*STEPS], indirect=True)
def test_a_migrated_one_can_be_repaired(lake: Path) -> None:
    migrate(lake)
    before = Lake(lake).rows('SELECT * FROM pins ORDER BY "offset"')
    (lake / "pins" / "_delta_log" / f"{0:020d}.json").unlink()
    assert Repair(lake, lambda lake: Evidences(((0, EVIDENCE),)), 16, print).run().ok
    assert Lake(lake).rows('SELECT * FROM pins ORDER BY "offset"') == before


@pytest.mark.parametrize("lake", [*STEPS], indirect=True)
def test_a_migration_that_was_killed_is_finished(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def killed(folder: Path, name: str, step: int) -> None:
        if len(taken) == 2:
            raise KeyboardInterrupt
        taken.append(name)
        take_step(folder, name, step)

    from neardup.schemas import migrate as module

    take_step = module._take_step
    monkeypatch.setattr(module, "_take_step", killed)
    with pytest.raises(KeyboardInterrupt):
        migrate(lake)
    monkeypatch.undo()
    with pytest.raises(LakeError, match="run `neardup migrate`"):
        Lake(lake)
    assert not set(taken) & set(migrate(lake))
    assert current(lake) == CLUSTERS


@pytest.mark.parametrize("lake", [FORMAT_VERSION], indirect=True)
def test_a_newer_one_is_refused(lake: Path) -> None:
    newer = str(FORMAT_VERSION + 1)
    Lake(lake).table("pins").alter.set_table_properties(
        {FORMAT_KEY: newer}, raise_if_not_exists=False
    )
    with pytest.raises(LakeError, match=f"has format version {newer}.*newer neardup"):
        Lake(lake)
    with pytest.raises(LakeError, match="use the neardup that wrote it"):
        migrate(lake)
