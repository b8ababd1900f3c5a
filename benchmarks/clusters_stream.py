"""The stream's rows of `neardup bench clusters`: how far it strays from a batch run, and by order.

The labelled pictures arrive among a crowd of real ones, in shuffled orders; of the crowd embeddings
alone are kept, so it has no looks. Everything but Spark and Kafka is the product's: the log
(``clusters_log``), its fold into a lake batch by batch, and the compaction of that lake.
"""

import tempfile
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from neardup.batch.compact import recipe_of
from neardup.benchmarks.classifier_data import Codes, Pictures
from neardup.benchmarks.clusters_log import Life, logged, some
from neardup.benchmarks.figures import Figure, figure
from neardup.benchmarks.index_data import real_embeddings
from neardup.clusters.quality import agreement
from neardup.clusters.recompute import Recipe
from neardup.models.classifier import Classifier
from neardup.models.hasher import Hasher
from neardup.models.looks import LOOKS_BYTES
from neardup.schemas.settings import Settings

Int64 = npt.NDArray[np.int64]

ORDERS = 5
NIGHTS = 3
CROWDS = (4_000, 40_000)


class Run(NamedTuple):
    """One order of arrival, and of each picture the cluster, int64 [n] each.

    ``stream``: as the stream left it; ``batch``: after one compaction; ``nightly``: after several
    on the way. ``component``: the component of trusted links that the picture is in.
    """

    seed: int
    stream: Int64
    batch: Int64
    nightly: Int64
    component: Int64

    @property
    def f1(self) -> float:
        return agreement(self.stream, self.batch).pair_f1

    def in_largest(self) -> npt.NDArray[np.bool_]:
        """Whether a picture is in the largest component, bool [n]."""
        names, sizes = np.unique(self.component, return_counts=True)
        largest: npt.NDArray[np.bool_] = self.component == names[sizes.argmax()]
        return largest


def rows(quick: bool, seed: int) -> list[Figure]:
    """Pictures of known groups among a small and a large crowd."""
    return [row for crowd in CROWDS[: 1 if quick else None] for row in rows_among(crowd, seed)]


def rows_among(crowd: int, seed: int) -> list[Figure]:
    hasher = Hasher.load()
    labelled = Pictures(hasher, seed).labelled
    others = hasher.sign(real_embeddings()[:crowd])
    pictures = Codes(
        np.concatenate([labelled.signatures, others]),
        np.concatenate([labelled.looks, np.zeros((crowd, LOOKS_BYTES), np.uint8)]),
    )
    recipe = recipe_of(Classifier.load(), Settings())
    what = f"orders of {len(pictures.looks):,}"
    seeds = tqdm(range(seed, seed + ORDERS), desc=what, disable=None)
    runs = [run_of(recipe, pictures, one) for one in seeds]
    of = f"{len(labelled.source):,} labelled pictures and {crowd:,} others without looks"
    return [
        against_batch(runs, labelled.source, of),
        between_orders(runs, of),
        after_nights(runs, of),
    ]


def against_batch(runs: list[Run], groups: Int64, of: str) -> Figure:
    """The stream's clusters before any compaction, and what a compaction makes of the same log."""
    worst = min(runs, key=lambda run: run.f1)
    known = slice(0, len(groups))
    truth = [agreement(labels[known], groups).pair_f1 for labels in (worst.stream, worst.batch)]
    large = worst.in_largest()
    outside = agreement(worst.stream[~large], worst.batch[~large]).pair_f1
    each = ", ".join(f"{run.seed}: {run.f1:.4f}" for run in runs)
    return figure(
        f"stream against one batch run of the same log: pair F1, {of}",
        "of 1",
        [run.f1 for run in runs],
        target=">= .98 in the worst order",
        met=worst.f1 >= 0.98,
        quality=f"{len(runs)} shuffled orders by seed: {each}; the worst is {worst.seed}: "
        f"{moved(worst.stream, worst.batch)} pins stand elsewhere, "
        f"{outside:.4f} without the largest component of {large.sum():,}; labelled ones against "
        f"their truth {truth[0]:.4f} by the stream, {truth[1]:.4f} by the batch run",
    )


def between_orders(runs: list[Run], of: str) -> Figure:
    """How much the stream's clusters depend on the order in which pictures come."""
    pairs = list(combinations(runs, 2))
    agreed = [agreement(one.stream, other.stream).ari for one, other in pairs]
    batch = min(agreement(one.batch, other.batch).ari for one, other in pairs)
    one, other = pairs[int(np.argmin(agreed))]
    return figure(
        f"the stream's clusters between two shuffled orders: adjusted Rand index, {of}",
        "of 1",
        agreed,
        target=">= .99 in the worst pair",
        met=min(agreed) >= 0.99,
        quality=f"{len(pairs)} pairs of orders, the worst {one.seed} and {other.seed}; the batch "
        f"runs' least {batch:.4f}",
    )


def after_nights(runs: list[Run], of: str) -> Figure:
    """A lake that was compacted as it grew, beside one batch run over its whole log."""
    same = sum(agreement(run.nightly, run.batch).ari == 1 for run in runs)
    return figure(
        f"orders in which {NIGHTS} compactions give the partition of one batch run, {of}",
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


def run_of(recipe: Recipe, pictures: Codes, seed: int) -> Run:
    """The pictures in the order of a seed, through two lakes with one log."""
    order = np.random.default_rng(seed).permutation(len(pictures.looks))
    log = list(logged(recipe, some(pictures, order)))
    nights = {len(log) * night // NIGHTS for night in range(1, NIGHTS)}
    with tempfile.TemporaryDirectory(prefix="neardup-orders-") as directory:
        once = Life(Path(directory) / "once", recipe)
        once.live(log)
        stream = once.clusters()
        once.compact()
        nightly = Life(Path(directory) / "nightly", recipe)
        nightly.live(log, nights)
        nightly.compact()
        found = (stream, once.clusters(), nightly.clusters(), once.components())
    by_picture = np.argsort(order)
    return Run(seed, *(labels[by_picture] for labels in found))
