"""A flood of one picture, and one of blanks, are named; a day like the one before is not."""

from pathlib import Path

import numpy as np
import pytest

from neardup.answers.floods import floods
from neardup.index.crowding import fullest
from neardup.index.plans import ensure_plan
from neardup.index.terms import TermPlan
from neardup.schemas.lake import Lake
from tests.lakes import copy, pin, signature

CALM = 200


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """200 pins that are like nothing else, from ten sources."""
    lake = Lake.create(tmp_path / "lake")
    ensure_plan(lake)
    rng = np.random.default_rng(1)
    rows = [
        pin(f"calm-{i}", 0, i, ordinal=i, signature=signature(rng), source=f"s{i % 10}")
        for i in range(CALM)
    ]
    lake.append_rows("pins", rows)
    return lake


def test_a_calm_lake_has_none(lake: Lake, tmp_path: Path) -> None:
    assert floods(lake, recent=100) == []
    assert floods(Lake.create(tmp_path / "empty")) == []


@pytest.mark.parametrize("kept_out", [True, False])
def test_a_flood_is_named_by_its_first_pin(lake: Lake, kept_out: bool) -> None:
    """Copies have an exemplar; what is merely alike fills the lists of a term."""
    rng = np.random.default_rng(2)
    first = signature(rng)
    rows = [
        copy(
            f"flood-{i}",
            1,
            CALM + i,
            rng,
            first,
            0 if not i else 4,
            ordinal=CALM + i,
            source="bot",
            exemplar=CALM if i and kept_out else None,
        )
        for i in range(40)
    ]
    lake.append_rows("pins", rows)
    (flood,) = floods(lake, recent=100)
    assert flood.what == ("picture" if kept_out else "term")
    assert (flood.pin_id, flood.source, flood.before) == ("flood-0", "bot", 0)
    assert flood.pins == 40 if kept_out else 30 < flood.pins <= 40
    assert flood.share == flood.pins / 100
    if kept_out:
        assert floods(lake, recent=20)[0].before == 20, "half of it was there before"


def test_the_fullest_list_is_that_of_a_count_by_hand() -> None:
    plan, rng = TermPlan(bands=3, term_bits=6), np.random.default_rng(3)
    newest, before = (rng.integers(0, 256, (n, 128), np.uint8) for n in (300, 200))
    bits = np.unpackbits(newest, axis=1)
    counted = {}
    for band in range(plan.bands):
        for row in bits[:, plan.positions[band, : plan.term_bits]]:
            counted[band, tuple(row)] = counted.get((band, tuple(row)), 0) + 1
    bucket = fullest(plan, newest, before)
    assert bucket is not None and len(bucket.rows) == max(counted.values())
    at = plan.positions[bucket.band, : plan.term_bits]
    term = bits[bucket.rows[0]][at]
    assert bucket.before == (np.unpackbits(before, axis=1)[:, at] == term).all(axis=1).sum()
    assert fullest(plan, newest[:0], before) is None
