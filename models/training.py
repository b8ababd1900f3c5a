"""Learning the classifier: pairs from edited copies, a little training, calibration, thresholds.

Arrays in, arrays out. Pairs of one source are true; pairs of two sources are false, unless their
pictures are so alike that nobody knows (``doubtful``): those are left out of everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.models.classifier import BIAS_LIMIT, BITS, HIDDEN_LIMIT, OUTPUT_LIMIT, pair_bits

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Signatures = npt.NDArray[np.uint8]

SMALLEST_UNIT = 2.0**-30


class Pairs(NamedTuple):
    """Pairs of rows: ``left``, ``right`` int64 [n]; ``same`` bool [n]: of one source."""

    left: Int64
    right: Int64
    same: npt.NDArray[np.bool_]

    def take(self, keep: npt.NDArray[Any]) -> "Pairs":
        return Pairs(self.left[keep], self.right[keep], self.same[keep])


@dataclass(frozen=True)
class Training:
    """How the net is trained; ``limit`` in log-odds before calibration."""

    hidden: int = 64
    epochs: int = 2
    batch: int = 512
    rate: float = 1e-3
    decay: float = 1e-4
    limit: float = 2.0
    seed: int = 1


def join_pairs(*parts: Pairs) -> Pairs:
    """All pairs of the parts, one part after the other."""
    return Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def true_pairs(source: Int64) -> Pairs:
    """Every pair of rows with one source; ``source`` int64 [n]."""
    order = np.argsort(source, kind="stable")
    starts = np.flatnonzero(np.diff(source[order], prepend=source[order[0]] - 1))
    groups = np.split(order, starts[1:])
    pairs = [np.array(np.triu_indices(len(rows), 1)) for rows in groups]
    left = np.concatenate([rows[pair[0]] for rows, pair in zip(groups, pairs, strict=True)])
    right = np.concatenate([rows[pair[1]] for rows, pair in zip(groups, pairs, strict=True)])
    return Pairs(left, right, np.ones(len(left), np.bool_))


def hard_negatives(
    signatures: Signatures,
    source: Int64,
    doubtful: Int64,
    *,
    nearest: int,
    queries: int,
    seed: int,
) -> Pairs:
    """The ``nearest`` rows of other sources for each of ``queries`` rows drawn by chance.

    ``doubtful`` int64: keys from ``pair_keys`` of source pairs to leave out.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(source), min(queries, len(source)), replace=False))
    lefts, rights = [], []
    for rows in np.array_split(chosen, max(1, len(chosen) // 512)):
        distance = hamming_table(signatures[rows], signatures)
        distance[source[rows][:, None] == source[None, :]] = BITS + 1
        found = np.argpartition(distance, 2 * nearest, axis=1)[:, : 2 * nearest]
        order = np.argsort(np.take_along_axis(distance, found, axis=1), axis=1, kind="stable")
        found = np.take_along_axis(found, order, axis=1)
        clear = ~np.isin(pair_keys(source[rows][:, None], source[found]), doubtful)
        kept = clear & (np.cumsum(clear, axis=1) <= nearest)
        lefts.append(np.repeat(rows, kept.sum(axis=1)))
        rights.append(found[kept])
    left, right = np.concatenate(lefts), np.concatenate(rights)
    return Pairs(left, right, np.zeros(len(left), np.bool_))


def random_negatives(source: Int64, doubtful: Int64, count: int, seed: int) -> Pairs:
    """About ``count`` pairs of rows of different sources, drawn by chance."""
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, len(source), (2, count))
    keys = pair_keys(source[left], source[right])
    kept = (source[left] != source[right]) & ~np.isin(keys, doubtful)
    return Pairs(left[kept], right[kept], np.zeros(int(kept.sum()), np.bool_))


def doubtful_pairs(vectors: Floats, alike: float) -> Int64:
    """Keys of pairs of sources whose vectors float32 [n, d] have a cosine above ``alike``."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = []
    for start in range(0, len(unit), 1024):
        left, right = np.nonzero(unit[start : start + 1024] @ unit.T > alike)
        keys.append(pair_keys(left + start, right))
    return np.unique(np.concatenate(keys))


def pair_keys(left: Int64, right: Int64) -> Int64:
    """One number for an unordered pair of sources below 2^31."""
    keys: Int64 = (np.minimum(left, right) << 32) | np.maximum(left, right)
    return keys


def hamming_table(left: Signatures, right: Signatures) -> npt.NDArray[np.int32]:
    """Distances int32 [m, n] of packed signatures, by one product of signs."""
    signs = [2 * np.unpackbits(side, axis=1).astype(np.float32) - 1 for side in (left, right)]
    table: npt.NDArray[np.int32] = ((BITS - signs[0] @ signs[1].T) / 2).astype(np.int32)
    return table


def hamming_of(signatures: Signatures, pairs: Pairs) -> Int64:
    """Distances int64 [n] of the pairs."""
    differing = signatures[pairs.left] ^ signatures[pairs.right]
    return np.bitwise_count(differing).sum(axis=1, dtype=np.int64)


def fit_count(hamming: Int64, same: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Intercept and slope of logistic regression on the distance (Newton's method)."""
    design = np.stack([np.ones(len(hamming)), -hamming / BITS], axis=1)
    weights = np.zeros(2)
    for _ in range(50):
        probability = 1 / (1 + np.exp(-(design @ weights).clip(-30, 30)))
        gradient = design.T @ (same - probability)
        curvature = design.T @ (design * (probability * (1 - probability))[:, None])
        step = np.linalg.solve(curvature + 1e-6 * np.eye(2), gradient)
        weights += step
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1] / BITS)


def train_net(signatures: Signatures, pairs: Pairs, how: Training) -> dict[str, Any]:
    """Train the net beside the count; float weights for ``whole_weights``.

    The count is fitted first and the last layer starts from zero, so training starts from the
    count's own decisions. Loads TensorFlow.
    """
    import tensorflow as tf

    tf.keras.utils.set_random_seed(how.seed)
    hamming = hamming_of(signatures, pairs)
    intercept, slope = fit_count(hamming, pairs.same)
    hidden = tf.Variable(tf.random.normal((2 * BITS, how.hidden), stddev=(2 / BITS) ** 0.5))
    hidden_bias = tf.Variable(tf.zeros(how.hidden))
    output = tf.Variable(tf.zeros(how.hidden))
    count = tf.Variable([intercept, slope * 100], dtype=tf.float32)
    variables = [hidden, hidden_bias, output, count]
    optimizer = tf.keras.optimizers.AdamW(how.rate, weight_decay=how.decay)

    @tf.function
    def step(bits: Any, distance: Any, same: Any) -> Any:
        with tf.GradientTape() as tape:
            net = tf.linalg.matvec(tf.nn.relu(bits @ hidden + hidden_bias), output)
            logit = count[0] - count[1] * distance / 100 + tf.clip_by_value(
                net, -how.limit, how.limit
            )
            loss = tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(labels=same, logits=logit)
            )
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    rng = np.random.default_rng(how.seed)
    for _ in range(how.epochs):
        order = rng.permutation(len(hamming))
        for start in range(0, len(order) - how.batch + 1, how.batch):
            rows = order[start : start + how.batch]
            bits = pair_bits(signatures[pairs.left[rows]], signatures[pairs.right[rows]])
            step(
                tf.constant(np.unpackbits(bits, axis=1).astype(np.float32)),
                tf.constant(hamming[rows].astype(np.float32)),
                tf.constant(pairs.same[rows].astype(np.float32)),
            )
    return {
        "hidden": hidden.numpy(),
        "hidden_bias": hidden_bias.numpy(),
        "output": output.numpy(),
        "intercept": float(count[0].numpy()),
        "slope": float(count[1].numpy()) / 100,
        "limit": how.limit,
    }


def whole_weights(floats: Mapping[str, Any], scale: float = 1.0, shift: float = 0.0) -> dict[str, Any]:
    """Weights in the whole numbers of ``classifier.WEIGHTS``, for scale * logit + shift."""
    step = max(
        float(np.abs(floats["hidden"]).max()) / (HIDDEN_LIMIT - 1),
        float(np.abs(floats["hidden_bias"]).max()) / (BIAS_LIMIT - 1),
    )
    output = floats["output"].astype(np.float64) * step * scale
    largest = max(float(np.abs(output).max()) / (OUTPUT_LIMIT - 1), SMALLEST_UNIT)
    unit = 2.0 ** np.ceil(np.log2(largest))
    count = [
        scale * floats["intercept"] + shift,
        scale * floats["slope"],
        scale * floats["limit"],
        scale * (floats["intercept"] + floats["limit"]) + shift,  # identical: as sure as it gets
    ]
    return {
        "hidden": np.rint(floats["hidden"] / step).astype("<i2"),
        "hidden_bias": np.rint(floats["hidden_bias"] / step).astype("<i4"),
        "output": np.rint(output / unit).astype("<i4"),
        "count": np.rint(np.array(count) / unit).astype("<i8"),
        "unit": np.array(unit, "<f8"),
    }
