from math import comb

import numpy as np
import pytest

from neardup.index.arithmetic import angle_share, match_chance, recall
from neardup.index.terms import TermPlan, matches


@pytest.mark.parametrize(("k", "f", "t"), [(12, 0, 32), (16, 1, 11), (22, 1, 6), (14, 0, 12)])
def test_the_chance_is_the_sum_of_the_formula(k, f, t):
    for p in (0.0, 0.05, 0.21, 0.5):
        term = sum(comb(k, i) * p**i * (1 - p) ** (k - i) for i in range(f + 1))
        tail = sum(comb(32, j) * p**j * (1 - p) ** (32 - j) for j in range(t + 1))
        assert match_chance(p, k, f, t) == pytest.approx(term * tail)


@pytest.mark.parametrize("least", [1, 2])
@pytest.mark.parametrize(
    "plan", [TermPlan(64, 16, 1, 10), TermPlan(96, 12, 0, 32), TermPlan(32, 14, 1, 12)]
)
def test_links_of_independent_flips_are_found_as_often(plan, least):
    plan = TermPlan(plan.bands, plan.term_bits, plan.flips, plan.tail_flips, least)
    rng = np.random.default_rng(7)
    for share in (0.11, 0.21, 0.27):
        patterns = np.packbits(rng.random((6000, 1024)) < share, axis=1)
        shared = matches(plan, patterns, np.zeros_like(patterns))
        # bands share bits, so they are not quite independent
        assert (shared >= least).mean() == pytest.approx(recall(share, plan), abs=0.025)
        chance = match_chance(share, plan.term_bits, plan.flips, plan.tail_flips)
        assert shared.mean() / plan.bands == pytest.approx(chance, rel=0.03)


def test_angles():
    assert angle_share([1.0, 0.0, -1.0]).tolist() == [0.0, 0.5, 1.0]
