"""From a trained net to a classifier that decides: scale, thresholds, radius, figures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neardup.models.calibration import (
    REPORTED,
    TRUSTED,
    Scale,
    calibrate,
    precision_recall,
    threshold_at,
)
from neardup.models.classifier import BITS, Classifier, weigh
from neardup.models.training import REACH, Labelled, Pairs, hamming_of, pairs_within, whole_weights
from neardup.schemas.errors import ArtifactError

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """All pairs within REACH of one kind of held-out pictures, by score and by distance.

    ``score`` and ``nearness`` (minus the Hamming distance) float64 [n], ``same`` bool [n];
    ``true_pairs`` counts those out of reach as well.
    """

    score: Doubles
    nearness: Doubles
    same: npt.NDArray[np.bool_]
    true_pairs: int


def decide(
    net: Mapping[str, Any], hasher_version: str, kinds: Mapping[str, Labelled]
) -> tuple[Classifier, dict[str, Any]]:
    """The classifier and its figures, from float weights and held-out pictures of each kind.

    Raises ArtifactError where the held-out pairs never reach the precision that is asked for.
    """
    raw = whole_weights(net)
    judged = {kind: judge(raw, held) for kind, held in kinds.items()}
    pooled = _pool(judged.values())
    ordinary = _ordinary(raw, kinds.values())
    scale = calibrate(pooled.score, pooled.same, ordinary.score)
    count_scale = calibrate(pooled.nearness, pooled.same, ordinary.nearness)
    weights = whole_weights(net, scale.scale, scale.shift)
    threshold, trusted = (
        max(_reach(scale, kind, part, wanted) for kind, part in judged.items())
        for wanted in (REPORTED, TRUSTED)
    )
    classifier = Classifier.from_arrays(
        {
            **weights,
            "hamming_log_odds": count_scale(-np.arange(BITS + 1.0)).astype(np.float32),
            "hasher_version": hasher_version,
            "threshold": threshold,
            "trusted": max(trusted, threshold),
            "radius": _radius(weights, threshold),
        }
    )
    return classifier, {kind: figures(classifier, held) for kind, held in kinds.items()}


def judge(weights: Mapping[str, npt.NDArray[Any]], held: Labelled) -> Judged:
    """Score all pairs within REACH."""
    pairs = pairs_within(held, REACH)
    _, sizes = np.unique(held.source, return_counts=True)
    return _judged(weights, held, pairs, int((sizes * (sizes - 1) // 2).sum()))


def figures(classifier: Classifier, held: Labelled) -> dict[str, float]:
    """What the classifier does on pictures whose truth is known, with the count beside it."""
    judged = judge(classifier.weights, held)
    result: dict[str, float] = {"signatures": len(held.source), "true_pairs": judged.true_pairs}
    for name, at in (("threshold", classifier.threshold), ("trusted", classifier.trusted)):
        found = precision_recall(judged.score, judged.same, judged.true_pairs, at)
        result[f"{name}_precision"], result[f"{name}_recall"] = (round(value, 4) for value in found)
    for name, values in (("classifier", judged.score), ("hamming", judged.nearness)):
        best = threshold_at(values, judged.same, 0.99)
        found = precision_recall(values, judged.same, judged.true_pairs, best)
        result[f"{name}_recall_at_99"] = round(found[1], 4)
    return result


def _judged(
    weights: Mapping[str, npt.NDArray[Any]], held: Labelled, pairs: Pairs, true_pairs: int
) -> Judged:
    left, right = held.signatures[pairs.left], held.signatures[pairs.right]
    return Judged(
        score=weigh(weights, left, right).astype(np.float64),
        nearness=-hamming_of(held.signatures, pairs).astype(np.float64),
        same=pairs.same,
        true_pairs=true_pairs,
    )


def _pool(parts: Iterable[Judged]) -> Judged:
    parts = list(parts)
    return Judged(
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.nearness for part in parts]),
        np.concatenate([part.same for part in parts]),
        sum(part.true_pairs for part in parts),
    )


def _ordinary(weights: Mapping[str, npt.NDArray[Any]], kinds: Iterable[Labelled]) -> Judged:
    """Pairs of a picture and a copy of it with one edit, of all kinds."""
    return _pool(_judged(weights, held, _single_edits(held), 0) for held in kinds)


def _single_edits(held: Labelled) -> Pairs:
    pictures, copies = np.flatnonzero(held.edits == 0), np.flatnonzero(held.edits == 1)
    order = np.argsort(held.source[pictures])
    at = order[np.searchsorted(held.source[pictures][order], held.source[copies])]
    return Pairs(pictures[at], copies, np.ones(len(copies), np.bool_))


def _reach(scale: Scale, kind: str, judged: Judged, precision: float) -> float:
    """The threshold for a precision, rounded up so that no rounding of weights undercuts it."""
    found = float(scale(np.array(threshold_at(judged.score, judged.same, precision))))
    if not np.isfinite(found):
        raise ArtifactError(
            f"No score reaches precision {precision} on the {len(judged.same)} held-out pairs of "
            f"{kind}: train on more pictures, or look for duplicates among them."
        )
    return float(np.ceil(found * 100) / 100)


def _radius(weights: Mapping[str, npt.NDArray[Any]], threshold: float) -> int:
    """The largest distance at which the net at its limit still lifts a pair over the threshold."""
    intercept, slope, limit, _ = weights["count"].astype(np.float64)
    bits = (intercept + limit - threshold / float(weights["unit"])) // slope
    return int(np.clip(bits, 0, BITS))
