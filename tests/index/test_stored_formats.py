"""A stored segment of every format version is opened and searched."""

from pathlib import Path

import numpy as np
import pytest

from neardup.index.blocks import FORMAT_VERSION
from neardup.index.cache import SegmentCache
from neardup.index.search import search

DATA = Path(__file__).parent / "data"
RADIUS = 300


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_a_stored_segment_answers_as_when_it_was_written(tmp_path, version):
    with np.load(DATA / f"segment-v{version}.npz", allow_pickle=False) as sample:
        stored = {name: sample[name] for name in sample.files}
    blocks = {
        name.removeprefix("block "): data.tobytes()
        for name, data in stored.items()
        if name.startswith("block ")
    }
    segment_id = str(stored["segment_id"])
    segment = SegmentCache(tmp_path, 10**9).open(segment_id, lambda: blocks)
    assert (segment.first, segment.n) == (4096, 64)
    found = search(segment, stored["queries"], RADIUS).candidates
    assert np.array_equal(np.stack(found), stored["candidates"])
    assert stored["candidates"].shape[1] >= 16
    assert segment.find_ids(stored["asked"]).tolist() == stored["ordinals"].tolist()
