"""Recall at precision .99 with its interval, and what needs no classifier: the floors.

Pairs are not independent, groups are: of the labelled pictures six pairs of groups hold nearly all
false pairs. The interval is a bootstrap over groups (Efron 1979), the same draws for every method,
so two methods can be compared draw by draw.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.models.hasher import Hasher

PRECISION = 0.99
INTERVAL = (0.05, 0.95)

Doubles = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


class Recall(NamedTuple):
    """At precision .99: as it is, and float64 [draws] of the bootstrap."""

    value: float
    draws: Doubles

    @property
    def interval(self) -> tuple[float, float]:
        """Nine tenths of the draws lie in it."""
        low, high = np.quantile(self.draws, INTERVAL)
        return float(low), float(high)


class Judgement:
    """All pairs of n pictures in groups int64 [n], to be ranked by different methods."""

    def __init__(self, groups: Int64, draws: int, seed: int) -> None:
        self.left, self.right = np.triu_indices(len(groups), 1)
        _, self._groups, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        self._pairs = sizes * (sizes - 1) // 2
        rng, count = np.random.default_rng(seed), len(sizes)
        drawn = [np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(draws)]
        self._weights = [np.ones(count, np.int64), *drawn]
        self.same = self._groups[self.left] == self._groups[self.right]

    def recall(self, values: npt.NDArray[np.floating]) -> Recall:
        """Recall of the pairs ranked by ``values`` [pairs], the higher the more alike; a pair of
        -inf is never reported."""
        # Beyond so many pairs the precision cannot be .99, whatever is drawn.
        most = min(len(values), max(1, 6 * int(self._pairs.sum())))
        top = np.flatnonzero((values >= np.partition(values, -most)[-most]) & (values > -np.inf))
        order = top[np.argsort(-values[top], kind="stable")]
        ranked, same = values[order], self.same[order]
        left, right = self._groups[self.left[order]], self._groups[self.right[order]]
        last = np.append(ranked[1:] != ranked[:-1], True)  # equal values fall together
        found = [self._one(weight, left, right, same, last) for weight in self._weights]
        return Recall(found[0], np.array(found[1:]))

    def _one(
        self,
        weight: Int64,
        left: Int64,
        right: Int64,
        same: npt.NDArray[np.bool_],
        last: npt.NDArray[np.bool_],
    ) -> float:
        """Of one draw: a group that is drawn twice brings its true pairs twice."""
        pairs = np.where(same, weight[left], weight[left] * weight[right])
        hits, reported = np.cumsum(pairs * same), np.cumsum(pairs)
        reached = np.flatnonzero((hits >= PRECISION * reported) & last)
        true_pairs = int((weight * self._pairs).sum())
        return float(hits[reached[-1]] / max(1, true_pairs)) if len(reached) else 0.0


def cosines(vectors: npt.NDArray[np.floating], judgement: Judgement) -> npt.NDArray[np.float32]:
    """The cosine of each pair of rows of ``vectors``, float32 [pairs]."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    table = (unit @ unit.T).astype(np.float32)
    values: npt.NDArray[np.float32] = table[judgement.left, judgement.right]
    return values


def floors(
    vectors: npt.NDArray[np.float32], hasher: Hasher, judgement: Judgement
) -> Mapping[str, npt.NDArray[np.floating]]:
    """What ranks pairs without a classifier: by exact cosine, and by the bits.

    Edit-whitened: the cosine of the 1,024 projections whose signs are the bits.
    """
    signatures = hasher.sign(vectors)
    signs = 2 * np.unpackbits(signatures, axis=1).astype(np.float32) - 1
    projected = (vectors.astype(np.float64) - hasher.mean) @ hasher.projection
    return {
        "exact cosine of the embeddings": cosines(vectors, judgement),
        "exact cosine, centred": cosines(vectors - hasher.mean, judgement),
        "exact cosine, edit-whitened": cosines(projected, judgement),
        "Hamming on the same bits": cosines(signs, judgement),
    }
