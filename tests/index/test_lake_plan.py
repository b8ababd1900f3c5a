"""A plan for a lake: what is drawn of its log, and what `neardup plan` says of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from neardup.cli.main import cli
from neardup.index.arithmetic import recall
from neardup.index.explain import verdict, worth_a_change
from neardup.index.lake_plan import plan_for
from neardup.index.lake_sample import FEWEST_LINKS, draw_from, mixed, typical_links
from neardup.index.planner import CHOSEN
from neardup.index.plans import record_plan
from neardup.index.terms import TermPlan, matches
from neardup.schemas.errors import LakeError, SettingsError
from neardup.schemas.lake import Lake
from tests.index.planning import crowd, flipped, machine
from tests.lakes import link, pin

PLAN = TermPlan(48, 14, 1, 11)
PINS = 600


def rows_of(signatures, first=0, links=None):
    """A pin for each signature; ``links``: pin -> the older pins it is linked to."""
    return [
        pin(
            f"pin-{ordinal}",
            0,
            ordinal,
            ordinal=ordinal,
            signature=row.tobytes(),
            links=[link(older, 40) for older in (links or {}).get(ordinal, ())],
        )
        for ordinal, row in enumerate(signatures, first)
    ]


@pytest.fixture
def lake(tmp_path):
    lake = Lake.create(tmp_path / "lake")
    record_plan(lake, PLAN, "test")
    return lake


@pytest.fixture(scope="module")
def signatures():
    """Pins 0 to PINS - 1, then as many that are near-duplicates of them."""
    older = crowd(PINS, seed=1)
    return np.concatenate([older, older ^ flipped(PINS, seed=1)])


def full(lake, signatures):
    links = {PINS + older: [older] for older in range(PINS)}
    lake.append_rows("pins", rows_of(signatures, links=links))


def test_links_are_the_patterns_of_linked_pins(lake, signatures):
    full(lake, signatures)
    drawn = draw_from(lake, PLAN)
    assert drawn.pins == 2 * PINS and not drawn.typical
    expected = {pattern.tobytes() for pattern in signatures[:PINS] ^ signatures[PINS:]}
    assert {pattern.tobytes() for pattern in drawn.links} == expected
    assert {row.tobytes() for row in drawn.signatures} == {row.tobytes() for row in signatures}


def test_what_the_plan_finds_seldom_stands_for_more(lake, signatures):
    full(lake, signatures)
    drawn = draw_from(lake, PLAN)
    bits = np.bitwise_count(drawn.links).sum(axis=1)
    assert drawn.weights[bits.argmin()] == pytest.approx(1, abs=0.01)
    far = bits.argmax()
    assert drawn.weights[far] == pytest.approx(1 / recall(bits[far] / 1024, PLAN)) and (
        drawn.weights[far] > 1.1
    )


def test_the_sample_depends_on_the_log_alone(lake, tmp_path, signatures, monkeypatch):
    """Not on the files that hold it; and a part of it is uniform."""
    monkeypatch.setattr("neardup.index.lake_sample.SIGNATURES", 200)
    monkeypatch.setattr("neardup.index.lake_sample.LINKS", 250)
    links = {PINS + older: [older] for older in range(PINS)}
    other = Lake.create(tmp_path / "other")
    for part in np.array_split(np.random.default_rng(1).permutation(2 * PINS), 7):
        rows = rows_of(signatures, links=links)
        other.append_rows("pins", [rows[ordinal] for ordinal in part])
    full(lake, signatures)
    one, two = draw_from(lake, PLAN), draw_from(other, PLAN)
    assert len(one.signatures) == 200 and len(one.links) == 250
    assert (one.signatures == two.signatures).all()
    assert (one.links == two.links).all() and (one.weights == two.weights).all()
    drawn = {row.tobytes() for row in one.signatures}
    newer = sum(row.tobytes() in drawn for row in signatures[PINS:])
    assert 60 < newer < 140


def test_only_live_indexed_pins_are_drawn(lake, signatures):
    rows = rows_of(signatures[:6])
    rows[2]["exemplar"] = 1
    rows[5]["previous"] = 4  # a new version
    rows += [
        pin("pin-0", 1, 6, kind="delete", previous=0),
        pin("pin-3", 1, 7, kind="repeat", previous=3),
    ]
    lake.append_rows("pins", rows)
    drawn = draw_from(lake, PLAN)
    assert {row.tobytes() for row in drawn.signatures} == {
        signatures[ordinal].tobytes() for ordinal in (1, 3, 5)
    }


def test_a_young_lake_takes_typical_links(lake, signatures):
    links = {PINS + older: [older] for older in range(FEWEST_LINKS - 1)}
    lake.append_rows("pins", rows_of(signatures, links=links))
    drawn = draw_from(lake, PLAN)
    assert drawn.typical and (drawn.links == typical_links()).all()
    assert (drawn.weights == 1).all()


def test_typical_links_have_the_distances_that_links_have():
    share = np.bitwise_count(typical_links()).sum(axis=1) / 1024
    at = np.percentile(share, [10, 50, 90, 99])
    assert at == pytest.approx([0.033, 0.130, 0.241, 0.307], abs=0.002)
    used = np.unpackbits(typical_links(), axis=1).mean(axis=0)
    assert used.max() < 1.3 * used.min()


def test_an_empty_lake_is_refused(lake):
    with pytest.raises(LakeError, match="holds 0 indexed pins"):
        draw_from(lake, PLAN)


def test_hashes_of_numbers_are_distinct_and_even():
    hashes = mixed(np.arange(10_000))
    assert len(np.unique(hashes)) == 10_000
    tenths = np.bincount((hashes // np.uint64(2**64 // 10 + 1)).astype(np.int64))
    assert len(tenths) == 10 and tenths.min() > 850


def test_the_present_plan_is_weighed_beside_the_chosen_one(lake, signatures):
    full(lake, signatures)
    planned = plan_for(lake, 325, machine(), 32, recall=0.95, pins=10**6)
    assert planned.present.plan == PLAN and planned.wanted.seed != PLAN.seed
    assert planned.choice.chosen.recall >= 0.95
    assert planned.wanted.pins == 10**6
    assert plan_for(lake, 325, machine(), 32, recall=0.95).wanted.pins == 2 * PINS


def test_a_plan_is_not_judged_by_the_links_that_it_found(lake):
    """Of all links the lake holds those that its plan found; it must not seem to find them all."""
    poor, n = TermPlan(32, 16, 1, 10), 4000
    older, patterns = crowd(n, seed=2), flipped(n, seed=2)
    found = np.flatnonzero(matches(poor, patterns, np.zeros_like(patterns)))
    truth = len(found) / n
    assert truth < 0.95
    record_plan(lake, poor, "test")
    links = {n + pin: [pin] for pin in found.tolist()}
    lake.append_rows("pins", rows_of(np.concatenate([older, older ^ patterns]), links=links))
    planned = plan_for(lake, 325, machine(), 32, recall=0.9)
    assert planned.present.recall == pytest.approx(truth, abs=0.02)
    chosen = planned.choice.chosen
    shared = matches(chosen.plan, patterns, np.zeros_like(patterns))
    sees = (shared >= chosen.plan.min_overlap).mean()
    assert chosen.recall == pytest.approx(sees, abs=0.02)


def run(lake, tmp_path, *arguments):
    config = tmp_path / "neardup.toml"
    config.write_text(f'[lake]\npath = "{lake.path}"\n')
    recorded = tmp_path / "recorded.json"
    recorded.write_text(json.dumps({"costs": json.loads(machine().to_json())}))
    options = ["--config", str(config), "--costs", str(recorded), *arguments]
    return CliRunner().invoke(cli, ["plan", *options])


def test_the_command_prints_the_table_and_writes_it(lake, tmp_path, signatures):
    full(lake, signatures)
    out = tmp_path / "plan.json"
    shown = run(lake, tmp_path, "--pins", "1000000", "--recall", ".95", "--json", str(out))
    assert shown.exit_code == 0, shown.output
    figures = json.loads(out.read_text("utf-8"))
    chosen = figures["chosen"]
    assert chosen["verdict"] == CHOSEN and figures["wanted"]["pins"] == 10**6
    plan = chosen["plan"]
    assert f"Chosen: {plan['bands']} bands of {plan['term_bits']} bits" in shown.output
    for words in ("recall too low", "too many bytes", "the lake's plan now", "root mean square"):
        assert words in shown.output
    assert "typical ones" not in shown.output
    # what it wrote can be planned with again
    again = run(lake, tmp_path, "--costs", str(out), "--recall", ".95", "--pins", "1000000")
    assert again.output == shown.output


def test_the_command_says_when_links_are_not_the_lakes(lake, tmp_path, signatures):
    lake.append_rows("pins", rows_of(signatures))
    shown = run(lake, tmp_path, "--recall", ".9")
    assert shown.exit_code == 0 and "typical ones of the bundled hasher" in shown.output


def test_the_command_changes_nothing(lake, tmp_path, signatures):
    full(lake, signatures)
    before = lake.rows("SELECT * FROM plans")
    run(lake, tmp_path, "--recall", ".9")
    assert lake.rows("SELECT * FROM plans") == before


@pytest.mark.parametrize(
    ("text", "message"), [("{}", "holds no costs"), ("no", "holds no costs"), ("[1]", "no costs")]
)
def test_costs_that_are_none_are_refused(lake, tmp_path, signatures, text, message):
    full(lake, signatures)
    other = tmp_path / "other.json"
    other.write_text(text)
    shown = run(lake, tmp_path, "--costs", str(other))
    assert isinstance(shown.exception, SettingsError) and message in str(shown.exception)


def test_a_change_must_be_worth_building_all_segments_again(lake, signatures):
    full(lake, signatures)
    planned = plan_for(lake, 325, machine(), 32, recall=0.95, pins=10**6)
    best = planned.choice.chosen
    for present, worth in [
        (best, False),
        (best._replace(seconds=1.05 * best.seconds), False),
        (best._replace(seconds=1.2 * best.seconds), True),
        (best._replace(recall=0.94), True),
        (best._replace(bytes_per_pin=2000), True),
    ]:
        other = replace(planned, present=present)
        assert worth_a_change(other) == worth
        assert ("`neardup plan` shows it" in verdict(other)) == worth
