import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from neardup.index.cache import ARRAYS, SegmentCache
from neardup.index.search import search
from neardup.index.segment import decode_segment
from neardup.schemas.errors import SegmentError


def never():
    raise AssertionError("loaded again")


def size_of(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


@pytest.fixture
def built(make_signatures, make_segment):
    return make_segment(make_signatures(300, 1), first=1000)


@pytest.mark.parametrize("n", [0, 1, 300])
def test_decoded_once_and_the_same(tmp_path, make_signatures, make_segment, n):
    segment_id, blocks = make_segment(make_signatures(n, 1), first=1000)
    first = SegmentCache(tmp_path / "new" / "cache", 10**9)
    segment = first.open(segment_id, lambda: blocks)
    assert first.open(segment_id, never) is segment
    again = SegmentCache(tmp_path / "new" / "cache", 10**9).open(segment_id, never)
    decoded = decode_segment(segment_id, blocks)
    for name in ARRAYS:
        assert (getattr(again, name) == getattr(decoded, name)).all()
        assert getattr(again, name).dtype == getattr(decoded, name).dtype
    queries = make_signatures(5, 1)
    for ours, theirs in zip(
        search(again, queries, 300).candidates,
        search(decoded, queries, 300).candidates,
        strict=True,
    ):
        assert (ours == theirs).all()


def test_a_damaged_block_caches_nothing(tmp_path, built):
    segment_id, blocks = built
    cache = SegmentCache(tmp_path, 10**9)
    with pytest.raises(SegmentError):
        cache.open(segment_id, lambda: {**blocks, "ids": b""})
    assert cache.open(segment_id, lambda: blocks).n == 300


def test_a_file_in_the_way_is_replaced(tmp_path, built):
    segment_id, blocks = built
    tmp_path.joinpath(segment_id).write_text("a file where the directory should be")
    cache = SegmentCache(tmp_path, 10**9)
    assert cache.open(segment_id, lambda: blocks).n == 300
    assert [path.name for path in tmp_path.iterdir()] == [segment_id]


@pytest.mark.parametrize("name", [*(f"{name}.npy" for name in ARRAYS), "segment.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "longer", "empty"])
def test_damaged_files_are_made_again(tmp_path, built, name, damage):
    segment_id, blocks = built
    SegmentCache(tmp_path, 10**9).open(segment_id, lambda: blocks)
    path = tmp_path / segment_id / name
    whole = path.read_bytes()
    changed = {"cut": whole[:-1], "longer": whole + b"!", "empty": b""}
    path.unlink() if damage == "missing" else path.write_bytes(changed[damage])
    calls = []
    segment = SegmentCache(tmp_path, 10**9).open(segment_id, lambda: calls.append(1) or blocks)
    assert calls == [1] and segment.n == 300
    assert path.read_bytes() == whole
    assert SegmentCache(tmp_path, 10**9).open(segment_id, never).n == 300


def test_half_written_directories_are_ignored_and_swept_when_old(tmp_path, built):
    segment_id, blocks = built
    for name in (".tmp-young", ".tmp-old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "offsets.npy").write_bytes(b"half")
    os.utime(tmp_path / ".tmp-old", (0, 0))
    (tmp_path / segment_id).mkdir()
    (tmp_path / segment_id / "offsets.npy").write_bytes(b"half")
    assert SegmentCache(tmp_path, 10**9).open(segment_id, lambda: blocks).n == 300
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tmp-young", segment_id]


def test_least_recently_used_is_evicted_but_nothing_that_is_open(
    tmp_path, make_signatures, make_segment
):
    built = [make_segment(make_signatures(50, i), first=50 * i) for i in range(4)]
    probe = SegmentCache(tmp_path / "probe", 10**9)
    probe.open(built[0].segment_id, lambda: built[0].blocks)
    one = size_of(tmp_path / "probe")

    cache = SegmentCache(tmp_path / "cache", 2 * one + one // 2)
    held = cache.open(built[0].segment_id, lambda: built[0].blocks)
    os.utime(tmp_path / "cache" / built[0].segment_id, (1, 1))  # the oldest, but open
    for segment_id, blocks in built[1:]:
        cache.open(segment_id, lambda blocks=blocks: blocks)
    names = {path.name for path in (tmp_path / "cache").iterdir()}
    assert names == {built[0].segment_id, built[3].segment_id}
    assert size_of(tmp_path / "cache") <= 2 * one + one // 2
    assert held.signatures.sum() > 0
    assert cache.open(built[1].segment_id, lambda: built[1].blocks).first == 50


def test_segments_that_do_not_fit_while_they_are_searched_are_named(
    tmp_path, make_signatures, make_segment, caplog
):
    """Each batch would decode them anew, and take minutes; leftovers that go are nothing to say."""
    built = [make_segment(make_signatures(50, i), first=50 * i) for i in range(3)]
    SegmentCache(tmp_path, 10**9).open(built[0].segment_id, lambda: built[0].blocks)
    cache = SegmentCache(tmp_path, size_of(tmp_path) + 1)
    os.utime(tmp_path / built[0].segment_id, (1, 1))
    cache.open(built[1].segment_id, lambda: built[1].blocks)
    assert caplog.messages == []
    for segment_id, blocks in built * 2:
        cache.open(segment_id, lambda blocks=blocks: blocks)
    (said,) = caplog.messages
    assert "stream.cache_bytes allows" in said


def test_a_stream_of_segments_leaves_no_file_open(tmp_path, make_signatures, make_segment):
    """Those that others replaced are unmapped when nobody asked for them for a while."""

    def mapped():
        lines = Path("/proc/self/maps").read_text("utf-8").splitlines()
        return {line.split("/")[-2] for line in lines if str(tmp_path) in line}

    built = [make_segment(make_signatures(50, i), first=50 * i) for i in range(3)]
    cache = SegmentCache(tmp_path, 10**9)
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    for segment_id, blocks in built:
        cache.open(segment_id, lambda blocks=blocks: blocks)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files
    assert mapped() == {name for name, _ in built}
    now = time.monotonic()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: now + 120)
        cache.open(built[1].segment_id, never)
        other = make_segment(make_signatures(50, 9), first=900)
        cache.open(other.segment_id, lambda: other.blocks)
    assert mapped() == {built[1].segment_id, other.segment_id}
    assert cache.open(built[0].segment_id, never).n == 50, "it is still there, decoded"


def test_a_segment_larger_than_the_limit_still_opens(tmp_path, built):
    segment_id, blocks = built
    cache = SegmentCache(tmp_path, 1)
    assert cache.open(segment_id, lambda: blocks).n == 300


def test_evicted_by_another_process_while_open(tmp_path, built):
    segment_id, blocks = built
    ours = SegmentCache(tmp_path, 10**9)
    segment = ours.open(segment_id, lambda: blocks)
    expected = segment.signatures.copy()
    SegmentCache(tmp_path, 10**9)._remove(tmp_path / segment_id)
    assert (segment.signatures == expected).all()
    assert ours.open(segment_id, never) is segment


RACER = """
import sys, time
from pathlib import Path
import numpy as np
from neardup.index.cache import SegmentCache

directory, archive, limit, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with np.load(archive, allow_pickle=False) as file:
    stored = {name: file[name].tobytes() for name in file.files}
blocks = {}
for name, payload in stored.items():
    segment_id, block = name.split("/")
    blocks.setdefault(segment_id, {})[block] = payload
(directory / f"ready-{seed}").touch()
while not (directory / "go").exists():
    time.sleep(0.001)
rng, names = np.random.default_rng(seed), sorted(blocks)
cache = SegmentCache(directory / "cache", limit)
for _ in range(150):
    segment_id = names[rng.integers(len(names))]
    segment = cache.open(segment_id, lambda: blocks[segment_id])
    assert segment.signatures.sum() == int(
        np.frombuffer(blocks[segment_id]["signatures"], np.uint8)[48:].sum()
    )
"""


@pytest.mark.parametrize("limit", [10**9, 1])
def test_two_processes_share_a_cache(tmp_path, make_signatures, make_segment, limit):
    """Both open the same few segments at once; with limit 1 each evicts under the other's feet."""
    arrays = {}
    for i in range(3):
        segment_id, blocks = make_segment(make_signatures(40, i), first=40 * i)
        for name, payload in blocks.items():
            arrays[f"{segment_id}/{name}"] = np.frombuffer(payload, np.uint8)
    np.savez(tmp_path / "blocks.npz", **arrays)
    racers = [
        subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error",
                "-c",
                RACER,
                *map(str, (tmp_path, tmp_path / "blocks.npz", limit, seed)),
            ]
        )
        for seed in (1, 2)
    ]
    while not all((tmp_path / f"ready-{seed}").exists() for seed in (1, 2)):
        assert all(racer.poll() is None for racer in racers)
    (tmp_path / "go").touch()
    assert [racer.wait(60) for racer in racers] == [0, 0]
    assert not [path for path in (tmp_path / "cache").iterdir() if path.name.startswith(".tmp-")]


def test_it_counts_what_it_was_asked_for(tmp_path, make_signatures, make_segment):
    segments = [make_segment(make_signatures(300, i), first=1000 * i) for i in range(2)]
    cache = SegmentCache(tmp_path, 1)  # room for none
    for segment_id, blocks in [segments[0], segments[0], segments[1]]:
        cache.open(segment_id, lambda blocks=blocks: blocks)
    again = SegmentCache(tmp_path, 10**9)
    again.open(segments[1][0], never)  # the one that was opened last stays
    again.open(segments[0][0], lambda: segments[0].blocks)
    assert cache.taken_counts() == {"hit": 1, "miss": 2, "eviction": 1}
    assert again.taken_counts() == {"hit": 1, "miss": 1}
    assert again.taken_counts() == {}


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system has no posix_fadvise")
def test_all_of_a_segment_is_read_ahead(tmp_path, built, monkeypatch):
    segment_id, blocks = built
    cache = SegmentCache(tmp_path, 10**9)
    cache.open(segment_id, lambda: blocks)
    asked = {}

    def advise(file, at, length, advice):
        assert advice == os.POSIX_FADV_WILLNEED
        name = Path(f"/proc/self/fd/{file}").readlink().name
        assert at == asked.get(name, 0), "no gap"
        asked[name] = at + length

    monkeypatch.setattr("neardup.index.cache._READ_AHEAD", 1000)
    monkeypatch.setattr(os, "posix_fadvise", advise)
    cache.read_ahead(segment_id)
    sizes = {
        f"{name}.npy": (tmp_path / segment_id / f"{name}.npy").stat().st_size for name in ARRAYS
    }
    assert asked.keys() == sizes.keys()
    assert all(0 <= asked[name] - sizes[name] < 1000 for name in sizes)
    assert max(sizes.values()) > 2000, "more than one piece"


def test_a_segment_that_is_gone_is_not_read_ahead(tmp_path):
    SegmentCache(tmp_path, 10**9).read_ahead("no-such-segment")
