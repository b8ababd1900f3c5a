"""After a purge no byte of the pin is in any file, and all else is as it was."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from neardup.answers.verify import verify
from neardup.batch.purge import purge
from neardup.clusters.ledger import load_store, restore
from neardup.index.cache import SegmentCache
from neardup.index.ids import id_hashes
from neardup.index.lake_segments import write_segment
from neardup.index.plans import ensure_plan
from neardup.index.policy import live_segments
from neardup.index.segment import build_segment
from neardup.index.store import PinStore, stacked
from neardup.schemas.carried import linked
from neardup.schemas.errors import LakeError, StreamError
from neardup.schemas.lake import Lake
from neardup.streaming.segments import open_segment
from tests.lakes import EVIDENCE, garden

GONE = "tulip-copy"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """The garden, with a segment over its five pins and events in quarantine that name one."""
    lake = garden(tmp_path / "lake", tmp_path)
    rows = lake.rows(
        "SELECT ordinal, pin_id, signature FROM pins WHERE kind='add' ORDER BY ordinal"
    )
    ordinals = np.arange(len(rows))
    hashes = id_hashes([row["pin_id"] for row in rows])
    signatures = stacked([row["signature"] for row in rows])
    plan = ensure_plan(lake)
    built = build_segment((0, 5), ordinals, signatures, hashes, ordinals, plan)
    write_segment(lake, built)
    (bad,) = lake.rows("FROM quarantine")
    bad = {**bad, "key": GONE.encode(), "offset": 8, "detail": f"key '{GONE}'"}
    lake.append_rows("quarantine", [bad])
    word = {"sequence": 0, "kind": "unlink", "pin_id": "rose", "other": GONE, "who": "ann"}
    lake.append_rows(
        "overrides", [{**word, "why": f"{GONE} is another", "written_at": bad["kafka_time"]}]
    )
    return lake


def files_with(folder: Path, *secrets: bytes) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(secret in path.read_bytes() for secret in secrets)
    ]


def current(lake: Lake) -> list[dict[str, object]]:
    return lake.rows("SELECT * FROM clusters_current ORDER BY ordinal")


def test_no_byte_of_a_purged_pin_is_left(lake: Lake, tmp_path: Path) -> None:
    (signature,) = lake.rows(f"SELECT signature FROM pins WHERE pin_id = '{GONE}' AND kind='add'")
    digest = hashlib.blake2b(GONE.encode(), digest_size=16).digest()
    secrets = (GONE.encode(), signature["signature"], digest)
    for secret in secrets:
        assert files_with(lake.path, secret), "or the test could not fail"
    before = current(lake)
    counts = purge(lake, [GONE])
    assert files_with(lake.path, *secrets) == []
    assert counts == {"segments": 1, "clusters": 2, "overrides": 1, "quarantine": 1, "pins": 2}
    assert current(Lake(lake.path)) == before
    (word,) = lake.rows("FROM overrides")
    assert (word["pin_id"], word["other"][:7], word["why"]) == ("rose", "purged:", "purged")
    assert len(lake.read("quarantine")) == 2 and len(lake.read("pins")) == 7


def test_second_names_of_a_file_are_gone_too(lake: Lake) -> None:
    files = lake.carried(0, before=1000).files
    lake.carry(files, 1)
    linked(files, lake.path / "clusters", 2)  # by a compaction that was killed before its commit
    assert len(files_with(lake.path / "clusters", GONE.encode())) > 2 * len(files)
    assert purge(lake, [GONE])["clusters"] == 4
    assert files_with(lake.path, GONE.encode()) == []


def test_a_restart_finds_all_else_as_before(lake: Lake, tmp_path: Path) -> None:
    purge(lake, [GONE])
    lake = Lake(lake.path)
    (tmp_path / "again").mkdir()
    store = load_store(lake, PinStore(tmp_path / "again"))
    assert [store.pin_id(i) for i in (0, 1, 2, 4)] == ["rose", "tulip", "rose-copy", "daisy"]
    assert store.pin_id(3).startswith("purged:") and not store.signatures(slice(3, 4)).any()
    ledger = restore(lake, 0, EVIDENCE, store)
    assert not ledger.fold.is_live(3) and ledger.fold.members(0).tolist() == [0, 2]
    plan = ensure_plan(lake)
    names = lake.read("segments", ["segment_id"])["segment_id"].unique().to_pylist()
    (name,) = live_segments(names, plan.version)
    segment = open_segment(lake, SegmentCache(tmp_path / "cache", 2**30), name)
    assert segment.ordinals.tolist() == [0, 1, 2, 4]
    assert segment.find_ids(id_hashes(["daisy", GONE])).tolist() == [4, -1]
    assert purge(lake, [GONE])["pins"] == 0, "again is harmless"


def test_a_live_pin_is_refused_and_so_is_a_running_stream(lake: Lake) -> None:
    with pytest.raises(LakeError, match="'rose' is live: delete it"):
        purge(lake, [GONE, "rose"])
    with lake.lease("stream"), pytest.raises(StreamError, match="stop it first"):
        purge(lake, [GONE])


def test_a_purged_lake_is_as_verify_wants_it(tmp_path: Path) -> None:
    lake = garden(tmp_path / "lake", tmp_path)
    purge(lake, [GONE])
    report = verify(lake.path)
    assert report.ok, [outcome for outcome in report.outcomes if not outcome.ok]
