"""The classifier in TensorFlow: what the executors run."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from neardup.models.classifier import BITS, Classifier, Scores, Signatures, pair_bits


class TensorFlowScorer:
    """Scores pairs in batches of one fixed size, padded: one trace of the graph serves them all.

    Gives the very bits of ``log_odds_numpy`` (see ``models/classifier.py``), so the size of a
    batch cannot be seen in a score. Identical signatures need no net; ``scored`` counts the pairs
    that did. ``graph`` takes ``batch`` rows of ``inputs``. Loads TensorFlow, on one thread.
    """

    def __init__(self, classifier: Classifier, batch: int = 1024) -> None:
        self.classifier = classifier
        self.batch = batch
        self.scored = 0
        self.graph = _graph(tensorflow(), classifier, batch)

    def log_odds(self, left: Signatures, right: Signatures) -> Scores:
        """Log-odds float32 [n] of pairs of signatures uint8 [n, 128]."""
        scores = np.empty(len(left), np.float32)
        identical = (left == right).all(axis=1)
        scores[identical] = self._identical
        rest = np.flatnonzero(~identical)
        self.scored += len(rest)
        padded = np.zeros((self.batch, 2 * BITS), np.uint8)
        for start in range(0, len(rest), self.batch):
            rows = rest[start : start + self.batch]
            (padded[: len(rows)],) = self.inputs(left[rows], right[rows])
            scores[rows] = self.graph(padded).numpy()[: len(rows)]
        return scores

    def inputs(self, left: Signatures, right: Signatures) -> tuple[npt.NDArray[Any], ...]:
        """XOR and AND bits uint8 [n, 2048]: unpacked here, not by shifts in the graph, a pair takes
        half the time."""
        return (np.unpackbits(pair_bits(left, right), axis=1),)

    @property
    def _identical(self) -> np.float32:
        weights = self.classifier.weights
        return np.float32(weights["count"][3] * weights["unit"])


def tensorflow() -> Any:
    """TensorFlow, on one thread, and quiet."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # As fast here without oneDNN (100,000 pairs/s), and it announces itself whatever the level is.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # TensorFlow is already running in this process, with its own threads
        pass
    return tf


def _graph(tf: Any, classifier: Classifier, batch: int) -> Any:
    """A compiled function of XOR and AND bits uint8 [batch, 2048] -> float32 [batch]."""
    weights = classifier.weights
    hidden = tf.constant(weights["hidden"].astype(np.float32))
    hidden_bias = tf.constant(weights["hidden_bias"].astype(np.float32))
    output = tf.constant(weights["output"].astype(np.float64)[:, None])
    intercept, slope, limit, _ = weights["count"].astype(np.float64)
    unit = float(weights["unit"])

    @tf.function(input_signature=[tf.TensorSpec((batch, 2 * BITS), tf.uint8)])  # type: ignore[untyped-decorator, unused-ignore]
    def score(pairs: Any) -> Any:
        bits = tf.cast(pairs, tf.float32)
        active = tf.nn.relu(tf.matmul(bits, hidden) + hidden_bias)
        net = tf.matmul(tf.cast(active, tf.float64), output)[:, 0]
        hamming = tf.cast(tf.reduce_sum(bits[:, :BITS], axis=1), tf.float64)
        total = intercept - slope * hamming + tf.clip_by_value(net, -limit, limit)
        return tf.cast(total * unit, tf.float32)

    return score
