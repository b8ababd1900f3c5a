"""A stored segment of every format version is opened and searched, or refused with a sentence."""

from pathlib import Path

import numpy as np
import pytest

from neardup.index.blocks import FORMAT_VERSION, READABLE
from neardup.index.cache import SegmentCache
from neardup.index.search import search
from neardup.schemas.errors import SegmentError

DATA = Path(__file__).parent / "data"
RADIUS = 300


def stored_segment(version):
    with np.load(DATA / f"segment-v{version}.npz", allow_pickle=False) as sample:
        stored = {name: sample[name] for name in sample.files}
    blocks = {
        name.removeprefix("block "): data.tobytes()
        for name, data in stored.items()
        if name.startswith("block ")
    }
    return stored, str(stored["segment_id"]), blocks


def test_there_is_a_sample_of_every_version():
    samples = {int(path.stem.removeprefix("segment-v")) for path in DATA.glob("segment-v*.npz")}
    assert samples == set(range(1, FORMAT_VERSION + 1))


@pytest.mark.parametrize("version", READABLE)
def test_a_stored_segment_answers_as_when_it_was_written(tmp_path, version):
    stored, segment_id, blocks = stored_segment(version)
    segment = SegmentCache(tmp_path, 10**9).open(segment_id, lambda: blocks)
    assert (segment.first, segment.n) == (4096, 64)
    found = search(segment, stored["queries"], RADIUS).candidates
    assert np.array_equal(np.stack(found), stored["candidates"])
    assert stored["candidates"].shape[1] >= 16
    assert segment.find_ids(stored["asked"]).tolist() == stored["ordinals"].tolist()


def test_version_1_is_refused_with_what_to_do(tmp_path):
    """Its terms were those of one segment alone: it cannot answer as the others do."""
    _, segment_id, blocks = stored_segment(1)
    with pytest.raises(SegmentError, match="reads versions 2 and 3"):
        SegmentCache(tmp_path, 10**9).open(
            segment_id, lambda: {**blocks, "meta": blocks["signatures"]}
        )
