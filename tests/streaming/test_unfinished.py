"""The note by which a corpus that changed is told from a new one."""

from pathlib import Path

import pytest

from neardup.schemas.errors import StreamError
from neardup.streaming.unfinished import Unfinished


def test_a_corpus_that_changed_is_noticed_until_its_backfill_ends(tmp_path: Path) -> None:
    note = Unfinished(tmp_path, Path("/a/corpus"))
    note.check("backfill:1")
    note.write("backfill:1", version=3)
    again = Unfinished(tmp_path, Path("/a/corpus"))
    again.check("backfill:1")
    found = again.read()
    assert found is not None and found.version == 3
    with pytest.raises(StreamError, match="/a/corpus changed since its backfill was cut off"):
        again.check("backfill:2")
    Unfinished(tmp_path, Path("/another")).check("backfill:2")
    again.clear()
    again.check("backfill:2")
    again.clear()


def test_a_damaged_note_is_named(tmp_path: Path) -> None:
    note = Unfinished(tmp_path, Path("/a/corpus"))
    note.write("backfill:1", None)
    (file,) = (tmp_path / "_checkpoints").iterdir()
    file.write_text("{", "utf-8")
    with pytest.raises(StreamError, match=file.name):
        note.check("backfill:1")
