"""The fold's rows of `neardup bench clusters`: a batch beside ten million pins."""

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.benchmarks.figures import Figure, compared, figure
from neardup.benchmarks.noop import noop_seconds
from neardup.clusters.attach import Batch
from neardup.clusters.columns import BYTES_PER_CLUSTER, BYTES_PER_PIN
from neardup.clusters.evidence import Evidence
from neardup.clusters.fold import NOBODY, Fold, Link
from neardup.models.classifier import Classifier

Int64 = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]

PINS_PER_BATCH, LINKS_PER_PIN = 5_000, 3
MEAN_SIZE = 6
_CHUNK = 100_000


class World(NamedTuple):
    """Live pins: ids of their clusters int64 [n], one with a tenth of all, and room for more."""

    ids: Int64
    giant: Int64  # the members of the largest cluster
    signatures: Signatures  # uint8 [n + room, 128]


def rows(quick: bool, seed: int) -> list[Figure]:
    n, batches = (1_000_000, 5) if quick else (10_000_000, 9)
    rng, noop = np.random.default_rng(seed), noop_seconds(PINS_PER_BATCH)
    world = made(rng, n, room=2 * batches * PINS_PER_BATCH)
    classifier = Classifier.load()
    evidence = Evidence(classifier.hamming_log_odds, classifier.trusted)
    warm(evidence, world.signatures)
    with tempfile.TemporaryDirectory(prefix="neardup-fold-") as directory:
        rows = members(world)
        begin = time.thread_time()
        fold = Fold.restore(
            evidence, lambda rows: world.signatures[rows], 1, rows, n, Path(directory)
        )
        restored = time.thread_time() - begin
        return [
            *batch_rows(rng, world, fold, batches, noop),
            figure(
                "the fold restored from its tables' rows, into memory-mapped files",
                "s a million pins",
                [restored / n * 1e6],
                quality=f"{n:,} pins; {BYTES_PER_PIN} bytes each and {BYTES_PER_CLUSTER} a cluster",
            ),
            leaves(rng, world, fold),
        ]


def batch_rows(
    rng: np.random.Generator, world: World, fold: Fold, batches: int, noop: list[float]
) -> list[Figure]:
    """Batches of which a fifth joins the giant cluster, and others, in turn; ``noop``: seconds of
    Spark's batches that do nothing."""
    rates = [batch_seconds(rng, world, fold, share) for _ in range(batches) for share in (0.2, 0)]
    beside, without = (1e3 * np.array(rates[i::2]) for i in (0, 1))
    giant = len(fold.members(int(world.giant[0])))
    row = compared(
        f"fold of {PINS_PER_BATCH:,} pins with {LINKS_PER_PIN * PINS_PER_BATCH:,} links on "
        f"{len(world.ids):,}",
        "ms",
        beside[:, 0].tolist(),
        "the same with no pin of the giant cluster",
        without[:, 0].tolist(),
        target="<= 100 ms",
        quality=f"one cluster of {giant:,}, which a fifth of the pins join; wall clock "
        f"{np.median(beside[:, 1]):.0f} ms",
    )
    row.met = row.value <= 100
    to_noop = compared(
        "the same fold beside a batch of Spark that does nothing, by the wall clock",
        "ms",
        beside[:, 1].tolist(),
        f"a trigger with an empty foreachBatch of {PINS_PER_BATCH:,} rows",
        [1e3 * seconds for seconds in noop],
        quality="the rows are made by Spark itself, without Kafka",
    )
    return [row, to_noop]


def made(rng: np.random.Generator, n: int, room: int) -> World:
    """Clusters of 6 pins on average beside the giant, their members near a centre."""
    shuffled = rng.permutation(n)
    giant, others = shuffled[: n // 10], shuffled[n // 10 :]
    founders = others[: len(others) // MEAN_SIZE]
    ids = np.empty(n, np.int64)
    ids[giant] = giant.min()
    ids[others] = founders[rng.integers(0, len(founders), len(others))]
    centres = rng.integers(0, 256, (65_521, 128), np.uint8)
    noise = np.packbits(rng.random((4096, 1024)) < 0.05, axis=1)
    signatures = np.zeros((n + room, 128), np.uint8)
    for begin in range(0, n, _CHUNK):
        own = ids[begin : begin + _CHUNK]
        signatures[begin : begin + len(own)] = (
            centres[own % len(centres)] ^ noise[rng.integers(0, len(noise), len(own))]
        )
    return World(ids, giant, signatures)


def members(world: World) -> tuple[Int64, Int64, Int64]:
    """Ordinals, cluster ids and heads (the oldest members), as the tables hold them."""
    _, first, which = np.unique(world.ids, return_index=True, return_inverse=True)
    return np.arange(len(world.ids)), world.ids, first[which]


def warm(evidence: Evidence, signatures: Signatures) -> None:
    """Have the kernels compiled."""
    fold = Fold(evidence, lambda rows: signatures[rows], 0)
    fold.add(0, [])
    fold.add(1, [Link(0, 9.0)])
    fold.leave(0)
    fold.take_standing()
    Fold.restore(evidence, lambda rows: signatures[rows], 0, (np.arange(1),) * 3, 1)


def no_links() -> tuple[Int64, npt.NDArray[np.float64]]:
    return np.empty(0, np.int64), np.empty(0, np.float64)


def batch_seconds(
    rng: np.random.Generator, world: World, fold: Fold, giant_share: float
) -> tuple[float, float]:
    """Seconds of the processor and of the wall clock, of one batch and taking its changes.

    Each pin copies one pin and links it and two others of its cluster; of one in four, the third
    link leads to any other pin.
    """
    n, begin = len(world.ids), len(fold)
    copied = rng.integers(0, n, PINS_PER_BATCH)
    joining = int(giant_share * PINS_PER_BATCH)
    copied[:joining] = world.giant[rng.integers(0, len(world.giant), joining)]
    if not giant_share:
        copied = np.where(
            world.ids[copied] == world.ids[world.giant[0]], world.ids[copied - 1], copied
        )
    links = np.stack([copied, copied, copied], axis=1)
    links[:, 1] = world.ids[copied]
    links[::4, 2] = rng.integers(0, n, len(links[::4]))
    started = np.arange(begin, begin + PINS_PER_BATCH)
    world.signatures[started] = world.signatures[copied]
    batch = Batch(
        np.full(PINS_PER_BATCH, NOBODY),
        started,
        np.arange(PINS_PER_BATCH + 1) * LINKS_PER_PIN,
        links.ravel(),
        np.full(links.size, 9.0),
    )
    clocks = time.thread_time(), time.perf_counter()
    fold.fold(batch)
    fold.take_standing()
    return time.thread_time() - clocks[0], time.perf_counter() - clocks[1]


def leaves(rng: np.random.Generator, world: World, fold: Fold) -> Figure:
    """A thousand pins leave the giant cluster, its head among them."""
    gone = np.append(world.giant.min(), rng.choice(world.giant, 999, replace=False))
    nobody = np.full(len(gone), NOBODY)
    begin = time.thread_time()
    fold.fold(Batch(gone, nobody, np.zeros(len(gone) + 1, np.int64), *no_links()))
    return figure(
        "a pin leaves the giant cluster",
        "us",
        [1e6 * (time.thread_time() - begin) / len(gone)],
        quality=f"mean of {len(gone)} of {len(world.giant):,} members, the head among them",
    )
