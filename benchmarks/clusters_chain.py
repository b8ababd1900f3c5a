"""The morphing chain of `neardup bench clusters`: A becomes B in 1,000 steps, in many orders."""

import numpy as np
import numpy.typing as npt

from neardup.benchmarks.figures import Figure, figure
from neardup.clusters.attach import Batch
from neardup.clusters.component import partition
from neardup.clusters.evidence import APART, Evidence, Links, evidence_of
from neardup.clusters.fold import NOBODY, Fold
from neardup.models.classifier import Classifier
from neardup.schemas.settings import Settings

Int64 = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]

BOUND = round(1.05 * APART)
"""Bits: a large cluster's farthest pair is searched for among those who speak, not among all."""
STEPS, TURNED = 1_000, 500
MOST = 512
"""Pins of a component that is cut in one piece; the chain is longer."""


def rows(quick: bool, seed: int) -> list[Figure]:
    """A becomes B, 500 bits away, in 1,000 steps, in many orders of arrival."""
    rng, orders = np.random.default_rng(seed), 6 if quick else 40
    classifier = Classifier.load()
    evidence = evidence_of(classifier, Settings())
    widths: dict[str, list[float]] = {"fold": [], "cut": []}
    apart = {"fold": 0, "cut": 0}
    for i in range(orders):
        steps = chain(rng)
        order = rng.permutation(len(steps))
        if i < 2:  # forth and back
            order = np.sort(order)[:: 1 - 2 * i]
        signatures = steps[order]
        bits = distances(signatures)
        links = nearest_older(bits, classifier.radius, evidence)
        for name, labels in (
            ("fold", folded(evidence, signatures, links)),
            ("cut", partition(evidence, signatures, links, MOST)),
        ):
            apart[name] += int(labels[order.argmin()] != labels[order.argmax()])
            widths[name].append(float(bits[labels[:, None] == labels].max()))
    return [
        figure(
            f"widest cluster of a chain of {STEPS:,} steps over {TURNED} bits, by the {name}",
            "bits",
            values,
            target=f"A and B apart, none above {BOUND} bits",
            met=apart[name] == orders and max(values) <= BOUND,
            quality=f"A and B apart in {apart[name]} of {orders} orders, with no pair beyond "
            f"{APART} bits in a cluster (`evidence_of`)",
        )
        for name, values in widths.items()
    ]


def chain(rng: np.random.Generator) -> Signatures:
    rows = np.repeat(rng.integers(0, 2, (1, 1024), np.uint8), STEPS + 1, axis=0)
    turned = rng.permutation(1024)[:TURNED]
    for step in range(STEPS + 1):
        rows[step, turned[: TURNED * step // STEPS]] ^= 1
    return np.packbits(rows, axis=1)


def distances(signatures: Signatures) -> Int64:
    words = signatures.view(np.uint64)
    return np.stack([np.bitwise_count(words ^ row).sum(axis=1, dtype=np.int64) for row in words])


def nearest_older(bits: Int64, radius: int, evidence: Evidence) -> Links:
    """Each pin's 32 nearest older ones within the classifier's radius, scored by distance."""
    left, right = [], []
    for newer in range(len(bits)):
        older = np.argsort(bits[newer, :newer], kind="stable")[:32]
        older = older[bits[newer, older] <= radius]
        left.append(np.full(len(older), newer))
        right.append(older)
    one, other = np.concatenate(left), np.concatenate(right)
    return Links(one, other, evidence.by_hamming[bits[one, other]].astype(np.float64))


def folded(evidence: Evidence, signatures: Signatures, links: Links) -> Int64:
    n = len(signatures)
    fold = Fold(evidence, lambda rows: signatures[rows], generation=0)
    offsets = np.searchsorted(links.left, np.arange(n + 1))
    fold.fold(Batch(np.full(n, NOBODY), np.arange(n), offsets, links.right, links.scores))
    return fold.standing(np.arange(n)).cluster_ids
