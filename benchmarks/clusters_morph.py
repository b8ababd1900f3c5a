"""The morphing chain of `neardup bench clusters` with real pictures: A becomes B in 1,000 blends.

Each blend is posted as a JPEG, decoded, embedded and signed, and arrives as a pin; the product does
the rest but for Spark and Kafka (``clusters_log``). Every step is a near-duplicate of its
neighbours, and A and B are two pictures.
"""

import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from neardup.batch.compact import recipe_of
from neardup.batch.pictures import pictures_of
from neardup.benchmarks.classifier_data import Codes, folder_of
from neardup.benchmarks.clusters_chain import BOUND, STEPS, distances
from neardup.benchmarks.clusters_log import Life, logged, some
from neardup.benchmarks.figures import Figure, figure
from neardup.clusters.recompute import Recipe
from neardup.models.classifier import Classifier
from neardup.models.embed import open_embedder
from neardup.models.hasher import Hasher
from neardup.models.images import decode
from neardup.models.pixels import looks_features
from neardup.schemas.settings import Settings

Int64 = npt.NDArray[np.int64]

KINDS = (("photos", "photos"), ("objects", "objects"), ("photos", "objects"))
"""Where A and B come from."""
SHUFFLES = 3


class Widest(NamedTuple):
    """Of one order: the greatest width of a cluster, in bits and in blend steps; A and B apart."""

    bits: int
    steps: int
    apart: bool


def rows(quick: bool, seed: int) -> list[Figure]:
    """Forward, backward and shuffled, by the stream's fold and after a compaction."""
    recipe, hasher = recipe_of(Classifier.load(), Settings()), Hasher.load()
    found: dict[str, list[Widest]] = {"fold": [], "compaction": []}
    ends = []
    for number, kinds in enumerate(KINDS[: 1 if quick else None]):
        steps = morphed(hasher, *pictures(kinds, [seed, number]))
        bits = distances(steps.signatures)
        ends.append(f"{bits[0, -1]}")
        for order in orders(STEPS + 1, seed):
            for name, labels in clustered(recipe, steps, order):
                found[name].append(widest(bits, labels))
    return [row_of(name, widths, ends) for name, widths in found.items()]


def row_of(by: str, widths: list[Widest], ends: list[str]) -> Figure:
    bits, steps = ([width[i] for width in widths] for i in (0, 1))
    apart = sum(width.apart for width in widths)
    return figure(
        f"widest cluster of {len(ends)} chains of real pictures, A blended into B in {STEPS:,} "
        f"steps, by the {by}",
        "bits",
        bits,
        target=f"A and B apart, none above {BOUND} bits",
        met=apart == len(widths) and max(bits) <= BOUND,
        quality=f"A and B, {', '.join(ends)} bits from each other, apart in {apart} of "
        f"{len(widths)} orders (forward, backward, {SHUFFLES} shuffled); the widest clusters span "
        f"{min(steps)} to {max(steps)} steps",
    )


def pictures(kinds: tuple[str, str], seed: list[int]) -> list[Image.Image]:
    """A and B, drawn by chance."""
    rng = np.random.default_rng(seed)
    return [decode(_drawn(kind, rng).read_bytes()) for kind in kinds]


def _drawn(kind: str, rng: np.random.Generator) -> Path:
    paths = pictures_of(folder_of(kind))
    return paths[rng.integers(len(paths))]


def morphed(hasher: Hasher, a: Image.Image, b: Image.Image) -> Codes:
    """Codes of A, the blends, and B, STEPS + 1."""
    embedder = open_embedder(hasher.embedder, threads=os.cpu_count() or 1)
    target = b.resize(a.size)
    vectors, looks = [], []
    for step in tqdm(range(STEPS + 1), desc="blends", disable=None):
        blend = posted(Image.blend(a, target, step / STEPS))
        vectors.append(embedder.embed([blend]))
        looks.append(looks_features(blend))
    return Codes(hasher.sign(np.concatenate(vectors)), hasher.sign_looks(np.stack(looks)))


def posted(picture: Image.Image) -> Image.Image:
    """As it comes back from where it was posted: a JPEG of quality 90."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return decode(buffer.getvalue())


def orders(n: int, seed: int) -> list[Int64]:
    """Forward, backward, shuffled."""
    forward = np.arange(n)
    shuffled = [np.random.default_rng([seed, i]).permutation(n) for i in range(SHUFFLES)]
    return [forward, forward[::-1], *shuffled]


def clustered(recipe: Recipe, steps: Codes, order: Int64) -> Iterator[tuple[str, Int64]]:
    """The cluster of each step, int64 [n], when the steps come in this order."""
    by_step = np.argsort(order)
    with tempfile.TemporaryDirectory(prefix="neardup-morph-") as directory:
        life = Life(Path(directory) / "life", recipe)
        life.live(list(logged(recipe, some(steps, order))))
        yield "fold", life.clusters()[by_step]
        life.compact()
        yield "compaction", life.clusters()[by_step]


def widest(bits: Int64, labels: Int64) -> Widest:
    """``bits`` int64 [n, n]: distances of the steps."""
    together = labels[:, None] == labels
    steps = np.abs(np.subtract.outer(np.arange(len(labels)), np.arange(len(labels))))
    return Widest(int(bits[together].max()), int(steps[together].max()), labels[0] != labels[-1])
