import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.index import postings
from neardup.index.ids import id_hashes
from neardup.index.segment import build_segment, decode_segment, k_for
from neardup.index.terms import Bands
from neardup.schemas.errors import SegmentError

ONE_OF_EACH_KIND = ["signatures", "ids", "band-000", "band-127"]


@settings(deadline=None, max_examples=40)
@given(n=st.integers(0, 300), k=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_postings_of_a_band(n, k, seed):
    rng = np.random.default_rng(seed)
    terms = (rng.random(n) ** 3 * 2**k).astype(np.uint32)
    bits = np.arange(k, dtype=np.int16)
    built = postings.build(terms, bits)
    for term in range(2**k):
        pins = built.pins[built.offsets[term] : built.offsets[term + 1]]
        assert pins.tolist() == np.flatnonzero(terms == term).tolist()
    decoded = postings.from_body(memoryview(postings.to_body(built)), k, n)
    for before, after in zip(built, decoded, strict=True):
        assert before.dtype == after.dtype and (before == after).all()


@pytest.mark.parametrize("n", [65_535, 65_536, 65_537])
def test_pin_numbers_are_as_narrow_as_they_can_be(n):
    rng = np.random.default_rng(n)
    terms = rng.integers(0, 2**13, n).astype(np.uint32)
    built = postings.build(terms, np.arange(13, dtype=np.int16))
    decoded = postings.from_body(memoryview(postings.to_body(built)), 13, n)
    assert decoded.pins.dtype == (np.uint16 if n <= 65_536 else np.uint32)
    assert (np.sort(decoded.pins) == np.arange(n)).all() and (decoded.pins == built.pins).all()


@pytest.mark.parametrize("n", [0, 1, 2, 255, 256, 257, 4096])
def test_a_segment_comes_back(make_signatures, make_segment, n):
    signatures = make_signatures(n, n)
    segment_id, blocks = make_segment(signatures, first=7)
    assert segment_id == f"000000000007-{n + 7:012d}"
    segment = decode_segment(segment_id, blocks)
    assert (segment.first, segment.n, segment.k) == (7, n, k_for(n))
    assert (segment.signatures == signatures).all()
    assert (segment.bits == Bands().bits[:, : segment.k]).all()
    assert blocks == make_segment(signatures, first=7).blocks


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([f"pin {i}" for i in range(40)]), max_size=60))
def test_find_ids_gives_the_newest(pin_ids):
    newest = {pin_id: 100 + row for row, pin_id in enumerate(pin_ids)}
    signatures = np.zeros((len(pin_ids), 128), np.uint8)
    segment = decode_segment(*build_segment(100, signatures, id_hashes(pin_ids), Bands(count=2)))
    asked = [f"pin {i}" for i in range(-1, 41)]
    assert segment.find_ids(id_hashes(asked)).tolist() == [newest.get(pin, -1) for pin in asked]


def test_find_ids_compares_all_128_bits():
    hashes = np.array([[1, 2], [1, 1], [0, 2], [2**64 - 1, 0]], np.uint64)
    segment = decode_segment(*build_segment(0, np.zeros((4, 128), np.uint8), hashes, Bands()))
    asked = np.array([[1, 1], [1, 2], [1, 3], [0, 1], [0, 2], [2**64 - 1, 0]], np.uint64)
    assert segment.find_ids(asked).tolist() == [1, 0, -1, -1, 2, 3]


def test_id_hashes_are_blake2b_of_utf8():
    assert id_hashes([]).shape == (0, 2)
    assert [hex(word) for word in id_hashes(["ключ"])[0].tolist()] == KEY_WORDS


KEY_WORDS = ["0x4d2fe6b696bb1a4", "0x4d83e519e5677363"]


@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_any_flipped_byte_is_an_error_that_names_segment_and_block(
    make_signatures, make_segment, name
):
    segment_id, blocks = make_segment(make_signatures(20, 3))
    whole = blocks[name]
    for at in range(0, len(whole), 1 if len(whole) < 400 else 29):
        changed = bytearray(whole)
        changed[at] ^= 0x10
        with pytest.raises(SegmentError, match=f"(?s){name} of segment {segment_id}"):
            decode_segment(segment_id, {**blocks, name: bytes(changed)})


@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_truncated_missing_or_newer_blocks(make_signatures, make_segment, name):
    segment_id, blocks = make_segment(make_signatures(20, 3))
    whole = blocks[name]
    for size in (0, 10, 39, 40, len(whole) - 1):
        with pytest.raises(SegmentError, match=f"{name} of segment {segment_id} is damaged"):
            decode_segment(segment_id, {**blocks, name: whole[:size]})
    newer = whole[:8] + b"\x02\x00" + whole[10:]
    with pytest.raises(SegmentError, match=f"{name} of segment {segment_id} has format version 2"):
        decode_segment(segment_id, {**blocks, name: newer})
    with pytest.raises(SegmentError, match=f"{name} of segment .* missing"):
        decode_segment(segment_id, {key: blocks[key] for key in blocks if key != name})


def test_blocks_in_the_wrong_place(make_signatures, make_segment):
    segment_id, blocks = make_segment(make_signatures(20, 3))
    other_id, others = make_segment(make_signatures(20, 4), first=20)
    swapped = {**blocks, "band-003": blocks["band-004"]}
    with pytest.raises(SegmentError, match="band-003"):
        decode_segment(segment_id, swapped)
    with pytest.raises(SegmentError, match="ids of segment"):
        decode_segment(segment_id, {**blocks, "ids": others["ids"]})
    with pytest.raises(SegmentError, match="of 20 pins from ordinal 0"):
        decode_segment(other_id, blocks)
