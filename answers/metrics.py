"""A running stream in Prometheus' terms: counted batch by batch, and read at each scrape.

docs/operations.md says what each figure is for; a test holds it and the dashboard to these names.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from neardup.answers.health import Limits, Pulse, complaint
from neardup.answers.overview import Figures, lag
from neardup.schemas.errors import EnvironmentProblem, LakeError

SECONDS = (0.01, 0.03, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)
CANDIDATES = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
FRESH_SECONDS = 10.0
"""Figures of the lake, of Kafka and of memory are read again when they are older than this."""


class Report(Protocol):
    """What a batch did, as ``streaming.microbatch.BatchReport`` says it."""

    events: int
    quarantined: int
    added: int
    candidates: int
    links: int
    seconds: dict[str, float]

    @property
    def cache(self) -> Mapping[str, int]: ...


class Sources(Protocol):
    """Where figures come from. What raises is left out: LakeError without a lake,
    EnvironmentProblem without a broker."""

    def figures(self) -> Figures: ...
    def topic_id(self) -> str: ...
    def ranges(self) -> dict[int, tuple[int, int]]: ...
    def memory(self) -> Mapping[str, int]: ...


class StreamMetrics(Collector):
    """Counts batches; its ``registry`` answers a scrape; ``complaint`` says whether all is well."""

    def __init__(
        self, sources: Sources, limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.registry = CollectorRegistry()
        self._sources = sources
        self._limits = limits
        self._clock = clock
        self._started = clock()
        self._last: float | None = None
        self._waiting_since: float | None = None
        self._last_seconds = 0.0
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._figures: Figures | None = None
        self._lag: dict[int, int] | None = None
        self._memory: Mapping[str, int] = {}
        self._count(self.registry)
        self.registry.register(self)

    def _count(self, registry: CollectorRegistry) -> None:
        def counter(name: str, said: str) -> Counter:
            return Counter(f"neardup_{name}", said, registry=registry)

        self._batches = counter("batches", "Micro-batches done since the start.")
        self._events = counter("events", "Events decided since the start, rejected ones too.")
        self._rejected = counter("rejected_events", "Events quarantined since the start.")
        self._added = counter("added_pins", "New pin versions since the start.")
        self._pairs = counter("scored_pairs", "Pairs scored since the start.")
        self._links = counter("links", "Links found since the start.")
        self._cache = Counter(
            "neardup_segment_cache",
            "Decoded segments asked for, by what came of it; and evictions.",
            ["result"],
            registry=registry,
        )
        self._stages = Histogram(
            "neardup_stage_seconds",
            "Seconds of a batch, by stage.",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self._whole = Histogram(
            "neardup_batch_seconds", "Seconds of a batch.", buckets=SECONDS, registry=registry
        )
        self._candidates = Histogram(
            "neardup_candidates_per_pin",
            "Pairs scored for a new pin, on average over its batch.",
            buckets=CANDIDATES,
            registry=registry,
        )

    def on_batch(self, report: Report) -> None:
        """Count a batch that was committed."""
        self._batches.inc()
        self._events.inc(report.events)
        self._rejected.inc(report.quarantined)
        self._added.inc(report.added)
        self._pairs.inc(report.candidates)
        self._links.inc(report.links)
        if report.added:
            self._candidates.observe(report.candidates / report.added)
        for result, times in report.cache.items():
            self._cache.labels(result).inc(times)
        for stage, seconds in report.seconds.items():
            self._stages.labels(stage).observe(seconds)
        seconds = sum(report.seconds.values())
        self._whole.observe(seconds)
        self._last_seconds, self._last = seconds, self._clock()
        self._waiting_since = None

    def complaint(self) -> str | None:
        """What is wrong with the stream, as a sentence; None if nothing is."""
        with self._lock:
            self._read()
            return self._complaint()

    def _complaint(self) -> str | None:
        now, waiting = self._clock(), self._waiting_since
        pulse = Pulse(
            since_start=now - self._started,
            waited=0.0 if waiting is None else now - waiting,
            began=self._last is not None,
            batch_seconds=self._last_seconds,
            lag=None if self._lag is None else sum(self._lag.values()),
        )
        return complaint(pulse, self._limits)

    def _read(self) -> None:
        now = self._clock()
        if self._read_at is not None and now - self._read_at < FRESH_SECONDS:
            return
        self._read_at = now
        self._memory = self._sources.memory()
        try:
            self._figures = self._sources.figures()
        except LakeError:  # there is none before the first start
            self._figures = None
        try:
            decided = self._figures.decided(self._sources.topic_id()) if self._figures else {}
            self._lag = lag(self._sources.ranges(), decided)
        except EnvironmentProblem:  # said by /healthz
            self._lag = None
        if not self._lag or not sum(self._lag.values()):
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now

    def collect(self) -> Iterator[Metric]:
        """Called at each scrape."""
        with self._lock:
            self._read()
            yield _gauge(
                "healthy", "Whether /healthz says that all is well.", not self._complaint()
            )
            yield _by(GaugeMetricFamily, "memory_bytes", "Resident memory.", "part", self._memory)
            if self._lag is not None:
                waiting = {str(partition): events for partition, events in self._lag.items()}
                said = "Events that wait in the topic."
                yield _by(GaugeMetricFamily, "lag_events", said, "partition", waiting)
            if self._figures is not None:
                yield from _lake(self._figures)


def _lake(figures: Figures) -> Iterator[Metric]:
    sizes = figures.sizes
    yield _gauge("last_batch", "Number of the newest batch in the log.", figures.batch_seq)
    yield _gauge("live_pins", "Live pins, when clusters were counted last.", sizes.pins)
    yield _gauge("clusters", "Clusters, single pins included.", sizes.clusters)
    quantiles = {str(quantile): pins for quantile, pins in sizes.quantiles.items()}
    said = "Pins of a cluster; 1.0: of the largest."
    yield _by(GaugeMetricFamily, "cluster_pins", said, "quantile", quantiles)
    shares = dict.fromkeys(("picture", "term"), 0.0)
    for flood in figures.floods:
        shares[flood.what] = max(shares[flood.what], flood.share)
    said = "Part of the newest pins that are copies of one picture, or share one term."
    yield _by(GaugeMetricFamily, "flood_share", said, "what", shares)
    yield _gauge("segments", "Segments that are searched.", figures.segments)
    yield _gauge("memtable_pins", "Pins after the last segment.", figures.memtable)
    yield _gauge("cached_segments", "Of them those decoded on this host.", figures.cached)
    yield _gauge("cache_bytes", "Disk that decoded segments take.", figures.cache_bytes)
    if figures.generation is not None and figures.published_at is not None:
        yield _gauge("generation", "The generation that readers see.", figures.generation)
        age = max(0.0, time.time() - figures.published_at.timestamp())
        yield _gauge("generation_age_seconds", "Since it was published.", age)
    yield _counter("merged_clusters", "Clusters that went into another one.", figures.merged)
    said = "Rows of quarantine."
    yield _by(GaugeMetricFamily, "quarantined_events", said, "reason", figures.quarantine)


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(f"neardup_{name}", said, value=value)


def _counter(name: str, said: str, value: float) -> Metric:
    return CounterMetricFamily(f"neardup_{name}", said, value=value)


def _by(
    kind: type[GaugeMetricFamily], name: str, said: str, label: str, values: Mapping[str, float]
) -> Metric:
    family = kind(f"neardup_{name}", said, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
