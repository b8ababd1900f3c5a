"""Decoded segments of this host, in memory-mapped files, within a limit of bytes.

One directory per segment: an .npy file per array and ``segment.json``, which is written last and
says how large each is. A directory is made under a temporary name, synced, and renamed, so nobody
ever sees half of one; several processes may share the cache. Whatever a process has mapped stays
readable for it even if another process evicts the files.
"""

import json
import logging
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neardup.index.segment import Segment, decode_segment
from neardup.index.store import reserve
from neardup.index.terms import TermPlan
from neardup.schemas.crash import crash_point
from neardup.schemas.errors import EnvironmentProblem

log = logging.getLogger(__name__)

FORMAT_VERSION = 2
ARRAYS = ("ordinals", "offsets", "entries", "signatures", "sorted_ids", "id_ordinals")

_META = "segment.json"
_TEMPORARY = ".tmp-"
_ABANDONED_SECONDS = 3600.0
_READ_AHEAD = 2**20  # of more bytes Linux would read the first few
_HELD_SECONDS = 60.0
"""How long a segment stays mapped after it was last asked for: one that was merged into another
never is again."""


class SegmentCache:
    """Decodes each segment once per host. One object may be used by one thread at a time."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._warned = False
        self._counts: Counter[str] = Counter()
        self._held: dict[str, tuple[float, Segment]] = {}
        self._alive: WeakValueDictionary[str, Segment] = WeakValueDictionary()

    def of_another_thread(self) -> "SegmentCache":
        """A cache over the same files."""
        return SegmentCache(self._directory, self._max_bytes)

    def taken_counts(self) -> Counter[str]:
        """Since it was asked last: segments that were here ("hit"), that had to be decoded
        ("miss"), and that were removed for want of space ("eviction")."""
        counts, self._counts = self._counts, Counter()
        return counts

    def open(self, segment_id: str, load: Callable[[], Mapping[str, bytes]]) -> Segment:
        """The segment, memory-mapped; ``load`` gives its blocks if the host has not decoded it.

        Raises SegmentError if the blocks are damaged. Damaged files of the cache are made again.
        """
        segment = self._alive.get(segment_id) or self._map(self._directory / segment_id)
        self._counts["miss" if segment is None else "hit"] += 1
        if segment is None:
            segment = self._create(segment_id, load())
            self._keep(segment)
            self._let_go()
            self._evict()
        else:
            self._keep(segment)
        return segment

    def read_ahead(self, segment_id: str) -> None:
        """Have the system read a segment's files into its page cache, one after the other.

        A search asks for a list here and a list there: of a segment that nobody has read since the
        machine started it would take minutes. Costs .02 s a GiB where it is there already.
        """
        for name in ARRAYS if hasattr(os, "posix_fadvise") else ():
            path = self._directory / segment_id / f"{name}.npy"
            with suppress(FileNotFoundError), path.open("rb") as file:
                for at in range(0, os.fstat(file.fileno()).st_size, _READ_AHEAD):
                    os.posix_fadvise(file.fileno(), at, _READ_AHEAD, os.POSIX_FADV_WILLNEED)

    def _keep(self, segment: Segment) -> None:
        self._alive[segment.segment_id] = segment
        self._held.pop(segment.segment_id, None)
        self._held[segment.segment_id] = time.monotonic(), segment  # the newest at the end
        with suppress(FileNotFoundError):  # evicted by another process: what is mapped stays
            os.utime(self._directory / segment.segment_id)

    def _let_go(self) -> None:
        due = time.monotonic() - _HELD_SECONDS
        for segment_id in [name for name, (opened, _) in self._held.items() if opened < due]:
            del self._held[segment_id]

    def _create(self, segment_id: str, blocks: Mapping[str, bytes]) -> Segment:
        """Decode a segment into files aside, map them, and only then give them their name."""
        temporary = self._temporary()
        try:
            _write(segment_id, blocks, temporary)
            segment = self._map(temporary)
            if segment is None:
                raise EnvironmentProblem(
                    f"What was written to {temporary} reads back otherwise. Check that disk, or "
                    "have the cache on another one."
                )
            return self._publish(segment, temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)  # not there any more if it was published

    def _publish(self, segment: Segment, temporary: Path) -> Segment:
        """Rename; if another process was first, theirs. Damaged files in the way are replaced."""
        final = self._directory / segment.segment_id
        for _ in range(2):
            try:
                crash_point("cache.written")
                temporary.rename(final)
                crash_point("cache.named")
                return segment
            except OSError:
                other = self._map(final)
                if other is not None:
                    return other
                self._remove(final)
        return segment  # still mapped, though not in the cache

    def _map(self, directory: Path) -> Segment | None:
        """The segment in a directory; None if it is not there or not whole."""
        try:
            meta = json.loads((directory / _META).read_text("utf-8"))
            if meta["format"] != FORMAT_VERSION:
                return None
            arrays = {name: _map_array(directory, name, meta["bytes"][name]) for name in ARRAYS}
            return Segment(
                segment_id=meta["segment_id"],
                first=meta["first"],
                end=meta["end"],
                plan=TermPlan.from_json(meta["plan"]),
                **arrays,
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _evict(self) -> None:
        """Remove least recently used segments until the rest fits; none that is open here."""
        used: dict[str, tuple[float, int]] = {}
        for path in self._directory.iterdir():
            if path.name.startswith(_TEMPORARY):
                self._remove_abandoned(path)
            elif (facts := _facts(path)) is not None:
                used[path.name] = facts
        for gone in self._held.keys() - used.keys():
            del self._held[gone]  # evicted by another process: give its disk space back
        total = sum(size for _, size in used.values())
        for segment_id in sorted(used, key=lambda name: used[name]):
            if total <= self._max_bytes:
                break
            if not self._is_open(segment_id):
                self._warn_if_in_use(used[segment_id][0], total)
                self._remove(self._directory / segment_id)
                self._counts["eviction"] += 1
                total -= used[segment_id][1]

    def _warn_if_in_use(self, asked_at: float, total: int) -> None:
        if self._warned or asked_at < time.time() - _HELD_SECONDS:
            return
        self._warned = True
        log.warning(
            "Decoded segments that are searched now take %d MiB, stream.cache_bytes allows %d: "
            "they are decoded again and again, seconds for each million pins. Allow more.",
            total // 2**20,
            self._max_bytes // 2**20,
        )

    def _is_open(self, segment_id: str) -> bool:
        """Whether anybody but this cache holds the segment."""
        self._held.pop(segment_id, None)
        return segment_id in self._alive

    def _remove(self, path: Path) -> None:
        """Remove a segment's files so that nobody meets half of them."""
        aside = self._temporary()
        with suppress(FileNotFoundError):  # another process was first
            path.rename(aside / "removed")
        shutil.rmtree(aside, ignore_errors=True)

    def _remove_abandoned(self, path: Path) -> None:
        """Remove what a process that died left behind."""
        facts = _facts(path)
        if facts is not None and facts[0] < time.time() - _ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)

    def _temporary(self) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self._directory))


def _write(segment_id: str, blocks: Mapping[str, bytes], directory: Path) -> None:
    """Decode into memory-mapped files, so that a large segment is never in memory as a whole."""

    def allocate(name: str, shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
        if 0 in shape:  # nothing can be mapped
            np.save(directory / f"{name}.npy", np.empty(shape, dtype), allow_pickle=False)
            return np.empty(shape, dtype)
        path = directory / f"{name}.npy"
        mapped = np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=shape)
        with path.open("rb+") as file:
            reserve(file, path.stat().st_size)
        return mapped

    segment = decode_segment(segment_id, blocks, allocate)
    sizes = {}
    for name in ARRAYS:
        path = directory / f"{name}.npy"
        with path.open("rb+") as array:
            _sync(array)
        sizes[name] = path.stat().st_size
    meta = {
        "format": FORMAT_VERSION,
        "segment_id": segment_id,
        "first": segment.first,
        "end": segment.end,
        "plan": segment.plan.to_json(),
        "bytes": sizes,
    }
    with (directory / _META).open("w", encoding="utf-8") as file:
        json.dump(meta, file)
        _sync(file)


def _sync(file: Any) -> None:
    """A rename may reach the disk before the data does; after a power cut that would be a trap."""
    file.flush()
    os.fsync(file.fileno())


def _map_array(directory: Path, name: str, size: int) -> Any:
    path = directory / f"{name}.npy"
    if path.stat().st_size != size:
        raise ValueError(f"{path} is not {size} bytes")
    # Not numpy's memmap: that keeps a file open for each array, and costs microseconds at a slice.
    with path.open("rb") as file, pa.memory_map(str(path)) as mapped:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        return np.frombuffer(mapped.read_buffer(), dtype, offset=file.tell()).reshape(shape)


def _facts(directory: Path) -> tuple[float, int] | None:
    """When a segment was last opened and the bytes of its files; None if it has gone."""
    try:
        size = sum(file.stat().st_size for file in directory.iterdir())
        return directory.stat().st_mtime, size
    except OSError:
        return None
