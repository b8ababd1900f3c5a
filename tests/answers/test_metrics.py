"""What a scrape says, and that the dashboard and the page ask for nothing else."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from neardup.answers.health import Limits
from neardup.answers.metrics import FRESH_SECONDS, StreamMetrics
from neardup.answers.overview import Figures, Overview
from neardup.schemas.errors import EnvironmentProblem, LakeError
from tests.answers.park import park

ROOT = Path(__file__).parents[2]
LIMITS = Limits(lag_events=100, batch_seconds=60, start_seconds=900)


@dataclass
class Report:
    events: int = 10
    quarantined: int = 1
    added: int = 8
    candidates: int = 40
    links: int = 3
    cache: dict[str, int] = field(default_factory=lambda: {"hit": 5, "miss": 1})
    seconds: dict[str, float] = field(default_factory=lambda: {"hash": 0.2, "commit": 0.05})


class Observed:
    """Sources with known answers; ``broker`` false: it does not answer."""

    def __init__(self, figures: Figures) -> None:
        self.lake: Figures | None = figures
        self.broker = True
        self.end = 140

    def figures(self) -> Figures:
        if self.lake is None:
            raise LakeError("There is no table pins.")
        return self.lake

    def topic_id(self) -> str:
        return "t"

    def ranges(self) -> dict[int, tuple[int, int]]:
        if not self.broker:
            raise EnvironmentProblem("No Kafka broker listens.")
        return {0: (0, self.end), 1: (0, 4)}

    def memory(self) -> dict[str, int]:
        return {"driver": 5, "jvm": 7, "workers": 9}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    folder = tmp_path_factory.mktemp("park")
    (folder / "store").mkdir()
    return Overview(park(folder / "lake", folder / "store")).figures()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def observed(figures: Figures) -> Observed:
    return Observed(figures)


@pytest.fixture
def metrics(observed: Observed, clock: Clock) -> StreamMetrics:
    return StreamMetrics(observed, LIMITS, clock)


def scraped(metrics: StreamMetrics) -> dict[str, float]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    }


def test_batches_are_counted(metrics: StreamMetrics) -> None:
    metrics.on_batch(Report())
    metrics.on_batch(Report(events=5, added=0, candidates=0))
    found = scraped(metrics)
    assert found["neardup_batches_total"] == 2
    assert found["neardup_events_total"] == 15
    assert found["neardup_rejected_events_total"] == 2
    assert found["neardup_scored_pairs_total"] == 40
    assert found["neardup_links_total"] == 6
    assert found['neardup_stage_seconds_count{stage="hash"}'] == 2
    assert found["neardup_batch_seconds_sum"] == pytest.approx(0.5)
    assert found["neardup_candidates_per_pin_count"] == 1, "of a batch without pins there is none"
    assert found["neardup_candidates_per_pin_sum"] == 5
    assert found['neardup_segment_cache_total{result="hit"}'] == 10
    assert found['neardup_segment_cache_total{result="miss"}'] == 2


def test_the_lake_the_topic_and_memory(metrics: StreamMetrics) -> None:
    found = scraped(metrics)
    assert found['neardup_lag_events{partition="0"}'] == 9
    assert found['neardup_lag_events{partition="1"}'] == 4
    assert found['neardup_memory_bytes{part="jvm"}'] == 7
    assert found['neardup_quarantined_events{reason="not_json"}'] == 1
    assert found['neardup_cluster_pins{quantile="1.0"}'] == 2
    assert (found["neardup_segments"], found["neardup_memtable_pins"]) == (2, 3)
    assert (found["neardup_generation"], found["neardup_last_batch"]) == (1, 5)
    assert found["neardup_healthy"] == 1


def test_without_a_broker_the_rest_is_told(metrics: StreamMetrics, observed: Observed) -> None:
    observed.broker = False
    found = scraped(metrics)
    assert not any(name.startswith("neardup_lag") for name in found)
    assert found["neardup_segments"] == 2 and found["neardup_healthy"] == 0
    assert "Kafka does not say" in (metrics.complaint() or "")


def test_before_the_first_start_there_is_no_lake(
    metrics: StreamMetrics, observed: Observed
) -> None:
    observed.lake = None
    found = scraped(metrics)
    assert found['neardup_lag_events{partition="0"}'] == 140 and found["neardup_healthy"] == 1
    assert "neardup_segments" not in found


def test_health_follows_lag_and_time(
    metrics: StreamMetrics, observed: Observed, clock: Clock
) -> None:
    metrics.on_batch(Report())
    assert metrics.complaint() is None
    clock.now += 61
    assert "no batch was done for 61 s" in (metrics.complaint() or "")
    metrics.on_batch(Report())
    assert metrics.complaint() is None
    observed.end = 1000
    assert metrics.complaint() is None, "not looked at again yet"
    clock.now += FRESH_SECONDS
    assert "873 events wait" in (metrics.complaint() or "")
    observed.end = 0
    clock.now += FRESH_SECONDS
    observed.ranges = lambda: {0: (0, 100)}  # type: ignore[method-assign]
    assert metrics.complaint() is None
    metrics.on_batch(Report(seconds={"search": 99.0}))
    assert metrics.complaint() is None, "nothing waits"
    observed.ranges = lambda: {0: (0, 200)}  # type: ignore[method-assign]
    clock.now += FRESH_SECONDS
    assert "took 99.0 s" in (metrics.complaint() or "")


def test_a_quiet_hour_is_no_illness(
    metrics: StreamMetrics, observed: Observed, clock: Clock
) -> None:
    """An event that has just come has not waited since the last batch, an hour ago."""
    metrics.on_batch(Report())
    observed.ranges = lambda: {0: (0, 131)}  # type: ignore[method-assign]
    assert metrics.complaint() is None
    clock.now += 3600
    observed.ranges = lambda: {0: (0, 132)}  # type: ignore[method-assign]
    assert metrics.complaint() is None


def families(metrics: StreamMetrics) -> set[str]:
    """Every name that a query may use, ``_bucket`` and ``_sum`` too."""
    metrics.on_batch(Report())
    return {re.sub(r"\{.*", "", name) for name in scraped(metrics)}


NAMES = re.compile(r"\bneardup_[a-z0-9_]+")


def test_the_dashboard_asks_for_what_is_there(metrics: StreamMetrics) -> None:
    board = json.loads((ROOT / "infra" / "grafana" / "neardup.json").read_text("utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    asked = {name for query in queries for name in NAMES.findall(query)}
    exported = {name for name in families(metrics) if not name.endswith("_created")}
    assert asked <= exported, asked - exported
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    told = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported}
    assert told == shown, "every figure is on the board"
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_page_of_alarms_speaks_of_what_is_there(metrics: StreamMetrics) -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    asked = set(NAMES.findall(page))
    assert asked and asked <= families(metrics), asked - families(metrics)
