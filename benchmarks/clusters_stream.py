"""The stream's rows of `neardup bench clusters`: how far it strays from a batch run, and by order.

The labelled pictures arrive among a crowd of real ones, in shuffled orders. Everything but Spark
and Kafka is the product's: the log (``clusters_log``), its fold into a lake batch by batch, and the
compaction of that lake.
"""

import tempfile
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from neardup.batch.compact import recipe_of
from neardup.benchmarks.classifier_data import Pictures
from neardup.benchmarks.clusters_log import Life, logged
from neardup.benchmarks.figures import Figure, figure
from neardup.benchmarks.index_data import real_embeddings
from neardup.clusters.quality import agreement
from neardup.clusters.recompute import Recipe
from neardup.models.classifier import Classifier
from neardup.models.hasher import Hasher
from neardup.schemas.settings import Settings

Int64 = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]

ORDERS = 5
NIGHTS = 3


class Run(NamedTuple):
    """One order of arrival, and of each picture the cluster, int64 [n] each.

    ``stream``: as the stream left it; ``batch``: after one compaction; ``nightly``: after several
    on the way.
    """

    seed: int
    stream: Int64
    batch: Int64
    nightly: Int64

    @property
    def f1(self) -> float:
        return agreement(self.stream, self.batch).pair_f1


def rows(quick: bool, seed: int) -> list[Figure]:
    """Pictures of known groups among a crowd, in five orders."""
    hasher = Hasher.load()
    labelled = Pictures(hasher, seed).labelled
    crowd = hasher.sign(real_embeddings()[: 4_000 if quick else None])
    signatures = np.concatenate([labelled.signatures, crowd])
    recipe = recipe_of(Classifier.load(), Settings())
    seeds = tqdm(range(seed, seed + ORDERS), desc="orders")
    runs = [run_of(recipe, signatures, one) for one in seeds]
    return [
        against_batch(runs, labelled.source, len(crowd)),
        between_orders(runs),
        after_nights(runs),
    ]


def against_batch(runs: list[Run], groups: Int64, crowd: int) -> Figure:
    """The stream's clusters before any compaction, and what a compaction makes of the same log."""
    worst = min(runs, key=lambda run: run.f1)
    known = slice(0, len(groups))
    truth = [agreement(labels[known], groups).pair_f1 for labels in (worst.stream, worst.batch)]
    each = ", ".join(f"{run.seed}: {run.f1:.4f}" for run in runs)
    return figure(
        f"stream against one batch run of the same log: pair F1, {len(groups):,} labelled pictures "
        f"and {crowd:,} others",
        "of 1",
        [run.f1 for run in runs],
        target=">= .98 in the worst order",
        met=worst.f1 >= 0.98,
        quality=f"{len(runs)} shuffled orders by seed: {each}; the worst is {worst.seed}: "
        f"{moved(worst.stream, worst.batch)} pins stand elsewhere; on the labelled ones against "
        f"their truth {truth[0]:.4f} by the stream, {truth[1]:.4f} by the batch run",
    )


def between_orders(runs: list[Run]) -> Figure:
    """How much the stream's clusters depend on the order in which pictures come."""
    pairs = list(combinations(runs, 2))
    agreed = [agreement(one.stream, other.stream).ari for one, other in pairs]
    batch = min(agreement(one.batch, other.batch).ari for one, other in pairs)
    one, other = pairs[int(np.argmin(agreed))]
    return figure(
        "the stream's clusters between two shuffled orders: adjusted Rand index",
        "of 1",
        agreed,
        target=">= .99 in the worst pair",
        met=min(agreed) >= 0.99,
        quality=f"{len(pairs)} pairs of orders, the worst {one.seed} and {other.seed}; the batch "
        f"runs' least {batch:.4f}",
    )


def after_nights(runs: list[Run]) -> Figure:
    """A lake that was compacted as it grew, beside one batch run over its whole log."""
    same = sum(agreement(run.nightly, run.batch).ari == 1 for run in runs)
    return figure(
        f"orders after which {NIGHTS} compactions on the way give the partition of one batch run",
        "orders",
        [same],
        target="all",
        met=same == len(runs),
        quality=f"of {len(runs)}",
    )


def moved(one: Int64, other: Int64) -> int:
    """Pins whose cluster has other members in the other partition."""
    sizes = (np.unique(labels, return_inverse=True, return_counts=True) for labels in (one, other))
    (_, a, of_a), (_, b, of_b) = sizes
    cell = np.unique(a * (b.max() + 1) + b, return_inverse=True, return_counts=True)
    shared = cell[2][cell[1]]
    return int(((shared != of_a[a]) | (shared != of_b[b])).sum())


def run_of(recipe: Recipe, signatures: Signatures, seed: int) -> Run:
    """The pictures in the order of a seed, through two lakes with one log."""
    order = np.random.default_rng(seed).permutation(len(signatures))
    log = list(logged(recipe, signatures[order]))
    nights = {len(log) * night // NIGHTS for night in range(1, NIGHTS)}
    with tempfile.TemporaryDirectory(prefix="neardup-orders-") as directory:
        once = Life(Path(directory) / "once", recipe)
        once.live(log)
        stream = once.clusters()
        once.compact()
        nightly = Life(Path(directory) / "nightly", recipe)
        nightly.live(log, nights)
        nightly.compact()
        found = (stream, once.clusters(), nightly.clusters())
    by_picture = np.argsort(order)
    return Run(seed, *(labels[by_picture] for labels in found))
