import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.index import postings
from neardup.index.ids import id_hashes
from neardup.index.segment import SegmentName, build_segment, decode_segment
from neardup.index.terms import TermPlan
from neardup.schemas.errors import SegmentError

ONE_OF_EACH_KIND = ["meta", "ordinals", "signatures", "ids", "band-000", "band-079"]


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(0, 300),
    term_bits=st.integers(1, 16),
    fewer=st.integers(0, 8),
    coarser=st.integers(0, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_postings_of_a_band(n, term_bits, fewer, coarser, seed):
    rng = np.random.default_rng(seed)
    d = max(1, term_bits - fewer)
    stored = max(1, d - coarser)
    terms = (rng.random(n) ** 3 * 2**term_bits).astype(np.uint64)
    words = terms << np.uint64(32) | rng.integers(0, 2**32, n, np.uint64)
    built = postings.build(words, term_bits, stored)
    for prefix in range(2**stored):
        pins = np.flatnonzero(terms >> np.uint64(term_bits - stored) == prefix)
        assert built.pins[slice(*built.offsets[prefix : prefix + 2])].tolist() == pins.tolist()
    decoded = postings.from_body(memoryview(postings.to_body(built)), d, n)
    for before, after in zip(built, decoded, strict=True):
        assert before.dtype == after.dtype and (before == after).all()

    offsets, entries = np.ones(2**d + 1, np.uint32), np.empty(n, np.uint64)
    postings.pack(decoded.pins, words, term_bits, offsets, entries)
    for prefix in range(2**d):
        own = entries[slice(*offsets[prefix : prefix + 2])].tolist()
        pins = np.flatnonzero(terms >> np.uint64(term_bits - d) == prefix)
        for entry, pin in zip(own, pins.tolist(), strict=True):
            assert entry & (2**24 - 1) == pin
            assert entry >> 24 & (2**32 - 1) == int(words[pin]) & (2**32 - 1)
            assert entry >> 56 == int(terms[pin]) & (2 ** (term_bits - d) - 1)


@pytest.mark.parametrize("lists", [0, 3, 32])
def test_a_dictionary_of_another_number_of_lists_is_refused(lists):
    """A power of two, and no more than the bits that a list is addressed by in memory."""
    body = postings.to_body(postings.Postings(np.zeros(lists + 1, np.uint32), np.empty(0, int)))
    with pytest.raises(ValueError, match=f"has {lists} lists"):
        postings.from_body(memoryview(body), 4, 0)


@pytest.mark.parametrize(
    ("n", "term_bits", "expected"),
    [(0, 16, 8), (1, 4, 1), (1000, 16, 8), (16_384, 16, 12), (10**6, 16, 16), (10**7, 20, 20)],
)
def test_directory_bits(n, term_bits, expected):
    assert postings.directory_bits(n, term_bits) == expected


@pytest.mark.parametrize("n", [0, 1, 2, 255, 256, 257, 4096])
def test_a_segment_comes_back(make_signatures, n):
    signatures, plan = make_signatures(n, n), TermPlan(bands=5)
    ordinals, found = 7 + 2 * np.arange(n), np.arange(3 * n)
    ids = id_hashes([f"pin-{i}" for i in range(3 * n)])
    segment_id, blocks = build_segment((0, 3 * n + 8), ordinals, signatures, ids, found, plan)
    assert segment_id == f"{0:012d}-{3 * n + 8:012d}-{plan.version}-000"
    assert SegmentName.of(segment_id) == (0, 3 * n + 8, plan.version, 0)
    segment = decode_segment(segment_id, blocks)
    assert (segment.first, segment.end, segment.n, segment.plan) == (0, 3 * n + 8, n, plan)
    assert (segment.signatures == signatures).all() and (segment.ordinals == ordinals).all()
    assert segment.find_ids(ids).tolist() == found.tolist()
    assert (segment.signatures_of(ordinals[::-1]) == signatures[::-1]).all()
    again = build_segment((0, 3 * n + 8), ordinals, signatures, ids, found, plan)
    assert blocks == again.blocks
    later = build_segment((0, 3 * n + 8), ordinals, signatures, ids, found, plan, revision=2)
    assert later.segment_id == f"{segment_id[:-3]}002"
    assert decode_segment(*later).segment_id == later.segment_id


def test_what_cannot_be_a_segment(make_signatures):
    signatures, plan = make_signatures(2, 1), TermPlan(bands=2)
    ids = id_hashes(["a", "b"])
    for ordinals in ([3, 3], [4, 3], [2, 3], [8, 9]):
        with pytest.raises(ValueError, match="ordinals"):
            build_segment((3, 9), np.array(ordinals), signatures, ids, np.array([3, 4]), plan)
    with pytest.raises(ValueError, match="do not fit"):
        build_segment((0, 9), np.arange(3), signatures, ids, np.arange(2), plan)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([f"pin {i}" for i in range(40)]), max_size=60))
def test_find_ids_gives_the_newest(pin_ids):
    newest = {pin_id: 100 + row for row, pin_id in enumerate(pin_ids)}
    ordinals = np.arange(100, 100 + len(pin_ids))
    signatures = np.zeros((len(pin_ids), 128), np.uint8)
    span, ids = (100, 100 + len(pin_ids)), id_hashes(pin_ids)
    built = build_segment(span, ordinals, signatures, ids, ordinals, TermPlan(bands=2))
    segment = decode_segment(*built)
    asked = [f"pin {i}" for i in range(-1, 41)]
    assert segment.find_ids(id_hashes(asked)).tolist() == [newest.get(pin, -1) for pin in asked]


def test_find_ids_compares_all_128_bits():
    hashes = np.array([[1, 2], [1, 1], [0, 2], [2**64 - 1, 0]], np.uint64)
    signatures, ordinals = np.zeros((4, 128), np.uint8), np.arange(4)
    segment = decode_segment(
        *build_segment((0, 4), ordinals, signatures, hashes, ordinals, TermPlan(bands=1))
    )
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
    for size in (0, 10, 47, 48, len(whole) - 1):
        with pytest.raises(SegmentError, match=f"{name} of segment {segment_id} is damaged"):
            decode_segment(segment_id, {**blocks, name: whole[:size]})
    newer = whole[:8] + b"\x04\x00" + whole[10:]
    with pytest.raises(SegmentError, match=f"{name} of segment {segment_id} has format version 4"):
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
    with pytest.raises(SegmentError, match="it is of segment 000000000000-000000000020-"):
        decode_segment(other_id, blocks)
