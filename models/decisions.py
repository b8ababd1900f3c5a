"""From a trained net to a classifier that decides: scale, thresholds, radius, figures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neardup.models.calibration import (
    REPORTED,
    TRUSTED,
    Reliability,
    bounded_threshold,
    calibrate,
    even_odds,
    logistic_weights,
    precision_recall,
    reliability,
    threshold_at,
)
from neardup.models.classifier import BITS, WITHOUT_LOOKS, Classifier, weigh, with_looks
from neardup.models.looks import present, unlike
from neardup.models.student import Net, whole_weights
from neardup.models.training import REACH, Labelled, Pairs, hamming_of, pairs_within
from neardup.schemas.errors import TrainingError

Doubles = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

LOOKS_PICTURES = 1200
RADIUS_SHARE = 0.999
"""The share of the true held-out pairs, reported without looks, that the radius lets through."""
IDENTICAL_RAW = 1e3  # log-odds that no pair reaches


@dataclass(frozen=True)
class Judged:
    """All pairs within REACH of one kind of held-out pictures, by score and by distance.

    ``score``, ``bare`` (the score without looks) and ``nearness`` (minus the Hamming distance)
    float64 [n], ``same`` bool [n]; ``sources`` int64 [n, 2]; ``true_pairs`` counts those out of
    reach as well.
    """

    score: Doubles
    bare: Doubles
    nearness: Doubles
    same: npt.NDArray[np.bool_]
    sources: Int64
    true_pairs: int

    def take(self, keep: npt.NDArray[np.bool_]) -> "Judged":
        return Judged(
            self.score[keep],
            self.bare[keep],
            self.nearness[keep],
            self.same[keep],
            self.sources[keep],
            self.true_pairs,
        )


def decide(
    net: Net, hasher_version: str, kinds: Mapping[str, Labelled], learned: Labelled
) -> tuple[Classifier, dict[str, Any]]:
    """The classifier and its figures, from float weights and held-out pictures of each kind.

    ``learned``: pictures that the net was trained on; what looks weigh is learned from some. Each
    threshold keeps its precision on every kind of pictures, with their looks and without. Raises
    TrainingError where the held-out pairs never reach the precision that is asked for.
    """
    kinds = {kind: held for kind, held in kinds.items() if len(held.source)}
    weights, pooled = _scaled(net, kinds.values())
    bare = {kind: judge(weights, held) for kind, held in kinds.items()}
    threshold = max(_reported(kind, part) for kind, part in bare.items())
    radius = _radius(bare.values(), threshold)
    weights["looks"] = _looks(weights, learned, kinds, _pool(bare.values()), threshold)
    judged = {kind: judge(weights, held) for kind, held in kinds.items()}
    both = [*bare.items(), *judged.items()]
    trusted = max(_trusted(kind, part) for kind, part in both)
    reach = _pool(judged.values())
    met = reach.take(reach.nearness >= -radius)
    if met.same.all():  # of few pictures: no false pair is so near
        met = reach
    ordinary = _ordinary(weights, kinds.values())
    count_scale = calibrate(pooled.nearness, pooled.same, ordinary.nearness)
    classifier = Classifier.from_arrays(
        {
            **weights,
            "hamming_log_odds": count_scale(-np.arange(BITS + 1.0)).astype(np.float32),
            "hasher_version": hasher_version,
            "threshold": threshold,
            "trusted": max(trusted, threshold),
            "radius": radius,
            "even": round(even_odds(met.score, met.same), 3),
        }
    )
    return classifier, {kind: figures(classifier, held) for kind, held in kinds.items()}


def judge(weights: Mapping[str, npt.NDArray[Any]], held: Labelled) -> Judged:
    """Score all pairs within REACH."""
    pairs = pairs_within(held, REACH)
    _, sizes = np.unique(held.source, return_counts=True)
    return _judged(weights, held, pairs, int((sizes * (sizes - 1) // 2).sum()))


def figures(classifier: Classifier, held: Labelled) -> dict[str, float]:
    """What the classifier does on pictures whose truth is known, with the count beside it.

    Pairs beyond the radius count as not reported, as nobody looks at them.
    """
    judged = judge(classifier.weights, held)
    near = judged.take(judged.nearness >= -classifier.radius)
    result: dict[str, float] = {"signatures": len(held.source), "true_pairs": judged.true_pairs}
    for name, at in (("threshold", classifier.threshold), ("trusted", classifier.trusted)):
        found = precision_recall(near.score, near.same, near.true_pairs, at)
        result[f"{name}_precision"], result[f"{name}_recall"] = (round(value, 4) for value in found)
    for name, part, values in (
        ("classifier", near, near.score),
        ("without_looks", near, near.bare),
        ("hamming", judged, judged.nearness),
    ):
        best = threshold_at(values, part.same, 0.99)
        found = precision_recall(values, part.same, part.true_pairs, best)
        result[f"{name}_recall_at_99"] = round(found[1], 4)
    result["calibration_error"] = round(cross_reliability(near).expected_error, 4)
    return result


def held_out_reliability(classifier: Classifier, kinds: Iterable[Labelled]) -> Reliability:
    """``cross_reliability`` of all kinds of held-out pictures together."""
    judged = _pool(judge(classifier.weights, held) for held in kinds if len(held.source))
    return cross_reliability(judged.take(judged.nearness >= -classifier.radius))


def cross_reliability(judged: Judged) -> Reliability:
    """How far chances can be believed: fitted on one half of the pictures, looked at on the other.

    Pairs between the halves are left out.
    """
    half = judged.sources % 2
    chances, same = [], []
    for fitted, looked in ((0, 1), (1, 0)):
        one, other = (judged.take((half == side).all(axis=1)) for side in (fitted, looked))
        if one.same.all() or not one.same.any():
            continue
        even = even_odds(one.score, one.same)
        chances.append(1 / (1 + np.exp(even - other.score)))
        same.append(other.same)
    if not chances:
        return reliability(np.ones(1), np.ones(1, np.bool_))
    return reliability(np.concatenate(chances), np.concatenate(same))


def _scaled(net: Net, kinds: Iterable[Labelled]) -> tuple[dict[str, npt.NDArray[Any]], Judged]:
    """Whole weights on the common scale of log-odds, and the held-out pairs by raw score."""
    kinds = list(kinds)
    raw = whole_weights(net, identical=IDENTICAL_RAW) | {"looks": WITHOUT_LOOKS}
    pooled = _pool(judge(raw, held) for held in kinds)
    pooled = pooled.take(pooled.nearness < 0)  # identical signatures need no scale
    if not len(pooled.same) or pooled.same.all() or not pooled.same.any():
        raise TrainingError(
            f"Among the {len(pooled.same)} nearest pairs of held-out pictures "
            f"{int(pooled.same.sum())} are true: a threshold needs true and false ones. "
            "Train on more pictures."
        )
    scale = calibrate(pooled.score, pooled.same, _ordinary(raw, kinds).score)
    surest = float(scale(pooled.score).max())
    weights = whole_weights(net, scale.scale, scale.shift, surest)
    return weights | {"looks": WITHOUT_LOOKS}, pooled


def _looks(
    weights: Mapping[str, npt.NDArray[Any]],
    learned: Labelled,
    kinds: Mapping[str, Labelled],
    bare: Judged,
    threshold: float,
) -> Doubles:
    """What looks weigh, as in ``classifier.WEIGHTS``, by logistic regression on ``learned``.

    Then stretched so that a score means the same with them as without (``bare``, ``threshold``):
    held-out pairs are as likely true as false at one score, and may be reported from one score on.
    """
    drawn = np.random.default_rng(0).permutation(np.unique(learned.source))[:LOOKS_PICTURES]
    some = learned.take(np.isin(learned.source, drawn))
    pairs = pairs_within(some, REACH)
    pairs = pairs.take(present(some.looks[pairs.left], some.looks[pairs.right]))
    if not len(pairs.same) or pairs.same.all() or not pairs.same.any():
        return WITHOUT_LOOKS
    score = weigh(weights, some.signatures[pairs.left], some.signatures[pairs.right])
    columns = np.column_stack([score, *unlike(some.looks[pairs.left], some.looks[pairs.right])])
    (kept, shape, colour), _ = logistic_weights(columns, pairs.same)
    raw = {**weights, "looks": np.array([kept, 0.0, -shape, -colour])}
    judged = {kind: judge(raw, held) for kind, held in kinds.items()}
    pooled = _pool(judged.values())
    even, reported = (
        even_odds(pooled.score, pooled.same),
        max(map(_reported, judged, judged.values())),
    )
    bare_even = even_odds(bare.score, bare.same)
    stretch = (threshold - bare_even) / (reported - even)
    found: Doubles = stretch * raw["looks"] + np.array([0.0, threshold - stretch * reported, 0, 0])
    return found if stretch > 0 else WITHOUT_LOOKS  # of very few pictures


def _judged(
    weights: Mapping[str, npt.NDArray[Any]], held: Labelled, pairs: Pairs, true_pairs: int
) -> Judged:
    sides = pairs.left, pairs.right
    bare = weigh(weights, *(held.signatures[side] for side in sides))
    return Judged(
        score=with_looks(weights, bare, *(held.looks[side] for side in sides)).astype(np.float64),
        bare=bare.astype(np.float64),
        nearness=-hamming_of(held.signatures, pairs).astype(np.float64),
        same=pairs.same,
        sources=np.stack([held.source[pairs.left], held.source[pairs.right]], axis=1),
        true_pairs=true_pairs,
    )


def _pool(parts: Iterable[Judged]) -> Judged:
    parts = list(parts)
    return Judged(
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.bare for part in parts]),
        np.concatenate([part.nearness for part in parts]),
        np.concatenate([part.same for part in parts]),
        np.concatenate([part.sources for part in parts]),
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


def _reported(kind: str, judged: Judged) -> float:
    found = bounded_threshold(judged.score, judged.same, judged.sources, REPORTED)
    return _reached(found, f"precision {REPORTED}, by the lower end of its interval,", kind, judged)


def _trusted(kind: str, judged: Judged) -> float:
    found = threshold_at(judged.score, judged.same, TRUSTED)
    return _reached(found, f"precision {TRUSTED}", kind, judged)


def _reached(found: float, what: str, kind: str, judged: Judged) -> float:
    """The threshold, rounded up so that no rounding undercuts it."""
    if not np.isfinite(found):
        raise TrainingError(
            f"No score reaches {what} on the {len(judged.same)} held-out pairs of {kind}: "
            "train on more pictures, or look for duplicates among them."
        )
    return float(np.ceil(found * 100) / 100)


def _radius(parts: Iterable[Judged], threshold: float) -> int:
    """The least distance within which RADIUS_SHARE of what would be reported rightly lies."""
    pooled = _pool(parts)
    reported = pooled.same & (pooled.score >= threshold)
    return int(np.ceil(np.quantile(-pooled.nearness[reported], RADIUS_SHARE)))
