"""What a score means: a common scale of log-odds, and the scores at which decisions fall.

The slope of the scale is what logistic regression finds on all pairs of held-out pictures. Its zero
is where 98 % of ordinary true pairs (a picture and a copy with one edit) are positive, not where
the odds are even: among thousands of pins nearly all pairs are false, and a clustering that took
even odds for zero would split true clusters at their hardest pair.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

POSITIVE_SHARE = 0.98

# A pair is to be reported at precision .99. A threshold moved to another kind of pictures loses
# precision: what gives flowers .99 gave objects .98. So half the errors are allowed, and the lower
# end of the precision's interval must keep to that on each kind. A cluster edge is trusted at .999.
REPORTED, TRUSTED = 0.995, 0.999
RESAMPLES, LOWER_END = 200, 0.05
BINS = 15

Booleans = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Sources = npt.NDArray[np.int64]


class Reliability(NamedTuple):
    """For bins of pairs float64 [b]: mean chance, true share; and int64 [b] the pairs in each."""

    chance: Doubles
    true: Doubles
    pairs: npt.NDArray[np.int64]

    @property
    def expected_error(self) -> float:
        """The mean of |chance - true share| over all pairs (Naeini, Cooper, Hauskrecht 2015)."""
        return float(np.average(np.abs(self.chance - self.true), weights=self.pairs))


@dataclass(frozen=True)
class Scale:
    """log-odds = scale * value + shift."""

    scale: float
    shift: float

    def __call__(self, values: Doubles) -> Doubles:
        return self.scale * values + self.shift


def calibrate(values: Doubles, same: Booleans, ordinary: Doubles) -> Scale:
    """The scale for ``values`` float64 [n], which are higher for pairs more alike.

    ``ordinary``: the values of ordinary true pairs, which set the zero. Raises ValueError if all
    pairs are true or all are false.
    """
    if same.all() or not same.any():
        raise ValueError("calibration needs true and false pairs")
    scale, _ = logistic(values, same)
    zero = np.quantile(ordinary, 1 - POSITIVE_SHARE)
    return Scale(scale, float(-scale * zero))


def threshold_at(scores: Doubles, same: Booleans, precision: float) -> float:
    """The lowest score from which on the pairs are true at least at ``precision``.

    Infinity if there is none.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(same[order])
    reached = hits >= precision * np.arange(1, len(order) + 1)
    last = np.append(ranked[1:] != ranked[:-1], True)  # equal scores fall together
    lowest = np.flatnonzero(reached & last)
    return float(ranked[lowest[-1]]) if len(lowest) else float("inf")


def bounded_threshold(
    scores: Doubles, same: Booleans, sources: Sources, precision: float, seed: int = 0
) -> float:
    """The lowest score from which on the lower end of the precision's interval is ``precision``.

    ``sources`` int64 [n, 2]: the pictures that a pair's sides were made from. The interval is a
    bootstrap over pictures (Efron 1979): one pair of look-alikes brings many false pairs at once,
    so pairs are not independent, pictures are. Infinity if there is no such score.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hit = scores[order], same[order]
    names, index = np.unique(sources[order], return_inverse=True)
    left, right = index.reshape(-1, 2).T
    rng = np.random.default_rng(seed)
    curves = np.empty((RESAMPLES, len(order)), np.float32)
    for row in curves:
        drawn = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        weight = np.where(hit, drawn[left], drawn[left] * drawn[right]).astype(np.float64)
        row[:] = np.cumsum(weight * hit) / np.maximum(np.cumsum(weight), 1e-9)
    bound = np.quantile(curves, LOWER_END, axis=0)
    last = np.append(ranked[1:] != ranked[:-1], True)
    lowest = np.flatnonzero((bound >= precision) & last)
    return float(ranked[lowest[-1]]) if len(lowest) else float("inf")


def even_odds(scores: Doubles, same: Booleans) -> float:
    """The score at which as many pairs are true as false, by logistic regression (Platt 1999)."""
    slope, intercept = logistic(scores, same)
    return -intercept / slope


def reliability(chances: Doubles, same: Booleans) -> Reliability:
    """How often pairs of a given chance are true, in BINS bins of as many pairs each."""
    parts = np.array_split(np.argsort(chances, kind="stable"), BINS)
    parts = [part for part in parts if len(part)]
    return Reliability(
        chance=np.array([chances[part].mean() for part in parts]),
        true=np.array([same[part].mean() for part in parts]),
        pairs=np.array([len(part) for part in parts]),
    )


def precision_recall(
    scores: Doubles, same: Booleans, true_pairs: int, threshold: float
) -> tuple[float, float]:
    """Precision and recall of the pairs at or above ``threshold``."""
    reported = scores >= threshold
    hits = int((reported & same).sum())
    return hits / max(1, int(reported.sum())), hits / max(1, true_pairs)


def logistic(values: Doubles, same: Booleans) -> tuple[float, float]:
    """Slope and intercept of logistic regression on one column."""
    slopes, intercept = logistic_weights(values[:, None], same)
    return float(slopes[0]), intercept


def logistic_weights(columns: Doubles, same: Booleans) -> tuple[Doubles, float]:
    """Slopes float64 [k] and intercept of logistic regression on columns float64 [n, k].

    By Newton's method on standardised columns.
    """
    centre, spread = columns.mean(axis=0), columns.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    design = np.column_stack([(columns - centre) / spread, np.ones(len(columns))])
    weights = np.zeros(design.shape[1])
    weights[-1] = np.log(same.mean() / (1 - same.mean()))
    for _ in range(100):
        odds = design @ weights
        probability = 1 / (1 + np.exp(-odds.clip(-35, 35)))
        gradient = design.T @ (same - probability)
        curvature = design.T @ (design * (probability * (1 - probability))[:, None])
        step = np.linalg.solve(curvature + 1e-9 * np.eye(len(weights)), gradient)
        weights += step.clip(-2, 2)
        if np.abs(step).max() < 1e-8:
            break
    slopes = weights[:-1] / spread
    return slopes, float(weights[-1] - slopes @ centre)
