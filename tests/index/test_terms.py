import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.index.terms import TermPlan, matches

plans = st.builds(
    TermPlan,
    bands=st.integers(1, 70),
    term_bits=st.integers(1, 24),
    flips=st.integers(0, 1),
    tail_flips=st.integers(0, 32),
    seed=st.integers(0, 9),
)


def test_positions_come_from_the_seed_and_never_change():
    positions = TermPlan().positions
    assert positions.shape == (80, 48) and positions.dtype == np.int16
    assert all(len(set(band)) == 48 for band in positions.tolist())
    assert positions.min() >= 0 and positions.max() < 1024
    assert (TermPlan(seed=1).positions != positions).any()
    # stored segments of several releases are searched with the same words: this must not drift
    assert positions[0, :6].tolist() == FIRST_BAND and positions[79, :6].tolist() == LAST_BAND


FIRST_BAND = [149, 454, 101, 809, 574, 536]
LAST_BAND = [734, 814, 846, 472, 119, 631]


def test_every_bit_is_used_equally_often_by_the_first_columns():
    used = np.bincount(TermPlan().positions[:, :16].ravel(), minlength=1024)
    assert used.max() - used.min() <= 1


@settings(deadline=None, max_examples=40)
@given(plan=plans, n=st.integers(0, 130), seed=st.integers(0, 2**32 - 1))
def test_words_are_the_sampled_bits_of_each_band(plan, n, seed):
    signatures = np.random.default_rng(seed).integers(0, 256, (n, 128), np.uint8)
    bits = np.unpackbits(signatures, axis=1).astype(np.uint64)
    expected = np.zeros((plan.bands, n), np.uint64)
    for column in plan.positions.T:
        expected = expected << np.uint64(1) | bits[:, column].T
    assert (plan.words(signatures) == expected).all()
    assert (plan.words(signatures, slice(1, 3)) == expected[1:3]).all()


@settings(deadline=None, max_examples=40)
@given(plan=plans, share=st.floats(0, 0.3), seed=st.integers(0, 2**32 - 1))
def test_matches_count_bands_with_few_enough_flips(plan, share, seed):
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 256, (30, 128), np.uint8)
    right = left ^ np.packbits(rng.random((30, 1024)) < share, axis=1)
    differing = np.unpackbits(left ^ right, axis=1)[:, plan.positions]
    term = differing[:, :, : plan.term_bits].sum(axis=2) <= plan.flips
    tail = differing[:, :, plan.term_bits :].sum(axis=2) <= plan.tail_flips
    assert matches(plan, left, right).tolist() == (term & tail).sum(axis=1).tolist()


def test_matches_of_many_pairs(make_signatures):
    left, right = make_signatures(9_000, 1), make_signatures(9_000, 2)
    right[::2] = left[::2]
    plan = TermPlan(bands=4)
    found = matches(plan, left, right)
    assert (found[::2] == 4).all()
    assert found[4095:4098].tolist() == matches(plan, left[4095:4098], right[4095:4098]).tolist()


def test_matches_want_pairs(make_signatures):
    with pytest.raises(ValueError, match="on the left"):
        matches(TermPlan(), make_signatures(2, 1), make_signatures(3, 1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bands", 0),
        ("bands", 1025),
        ("term_bits", 0),
        ("term_bits", 25),
        ("flips", 2),
        ("tail_flips", 33),
        ("min_overlap", 0),
        ("min_overlap", 81),
    ],
)
def test_impossible_plans_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        TermPlan(**{name: value})


def test_a_plan_comes_back_from_json():
    plan = TermPlan(bands=7, tail_flips=3)
    assert TermPlan.from_json(plan.to_json()) == plan
    assert plan.version == TermPlan.from_json(plan.to_json()).version != TermPlan().version
