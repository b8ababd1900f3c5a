"""What ends a backfill before it starts a JVM, and what a dry run says."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from neardup.cli.main import cli
from neardup.schemas.errors import LakeError, SourceError, StreamError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings, load_settings
from neardup.streaming.backfill import Backfill
from tests.lakes import garden, pin


def settings(folder: Path) -> Settings:
    return load_settings(None, lake={"path": folder / "lake"})


def corpus(folder: Path, rows: int = 3) -> Path:
    path = folder / "corpus.parquet"
    ids = [f"pin {i}" for i in range(rows)]
    pq.write_table(pa.table({"pin_id": ids, "embedding": [b""] * rows}), path)
    return path


def test_a_lake_of_another_hasher_is_refused(tmp_path: Path) -> None:
    garden(tmp_path / "lake", tmp_path)
    with pytest.raises(LakeError, match="were made by the hasher h"):
        Backfill(settings(tmp_path), corpus(tmp_path)).run()


def test_a_lake_that_a_stream_writes_is_refused(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    with lake.lease("stream"), pytest.raises(StreamError, match="Another process"):
        Backfill(settings(tmp_path), corpus(tmp_path)).run()


def test_a_path_without_a_corpus_is_refused_before_a_lake_is_made(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="There is nothing at"):
        Backfill(settings(tmp_path), tmp_path / "absent").run()
    assert not (tmp_path / "lake").exists()


def test_the_example_of_the_page_is_a_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "backfill.md").read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    exec(page.split("```python\n")[1].split("```")[0], {})  # noqa: S102
    source, done = Backfill(settings(tmp_path), tmp_path / "pins.parquet").look()
    assert (list(source.sizes), done) == ([1_000], 0)


def test_a_dry_run_counts_what_is_decided_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEARDUP_LAKE__PATH", str(tmp_path / "lake"))
    path = corpus(tmp_path, rows=1_200)
    shown = CliRunner().invoke(cli, ["backfill", str(path), "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert "1,200 rows, 0 of them decided" in shown.output
    assert not (tmp_path / "lake").exists()
    source, _ = Backfill(settings(tmp_path), path).look()
    rows = [pin("a", 0, 0), pin("b", 0, 1_099)]
    Lake.create(tmp_path / "lake").append_rows(
        "pins", [{**row, "ordinal": i, "topic_id": source.topic_id} for i, row in enumerate(rows)]
    )
    shown = CliRunner().invoke(cli, ["backfill", str(path), "--dry-run"])
    assert "1,200 rows, 1,100 of them decided" in shown.output
