"""The classifier in TensorFlow: what the executors run."""

import os
import threading
import time
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.models.classifier import (
    BITS,
    Classifier,
    Scores,
    Signatures,
    crowding,
    log_odds_numpy,
)


class NumpyScorer(NamedTuple):
    """A classifier without TensorFlow, which takes seconds to load and half a gigabyte."""

    classifier: Classifier

    def log_odds(self, left: Signatures, right: Signatures) -> Scores:
        """Log-odds float32 [n] of pairs of signatures uint8 [n, 128]."""
        return log_odds_numpy(self.classifier, left, right)


LOAD_SECONDS = 5.0
"""What TensorFlow takes to load, in which a process does little else."""


class LoadingScorer:
    """Has numpy answer until TensorFlow is there, so that no pair waits for it.

    It begins to load when it is asked for, or when numpy has taken as long as loading takes: who
    hires until the hire has cost the price, and buys then, never pays more than twice the least
    possible (ski rental: Karlin, Manasse, Rudolph, Sleator 1988). No score tells who gave it;
    TensorFlow takes nine tenths of numpy's time.
    """

    def __init__(self, classifier: Classifier, load_seconds: float = LOAD_SECONDS) -> None:
        self.classifier = classifier
        self._numpy = NumpyScorer(classifier)
        self._left = load_seconds
        self._lock = threading.Lock()
        self._loading: threading.Thread | None = None
        self._loaded: TensorFlowScorer | None = None

    def loaded(self) -> "TensorFlowScorer":
        """TensorFlow's scorer, as soon as it is there."""
        with self._lock:
            if self._loaded is None:
                self._loaded = TensorFlowScorer(self.classifier)
            return self._loaded

    def log_odds(self, left: Signatures, right: Signatures) -> Scores:
        """Log-odds float32 [n] of pairs of signatures uint8 [n, 128]."""
        if self._loaded is not None:
            return self._loaded.log_odds(left, right)
        begin = time.perf_counter()
        scores = self._numpy.log_odds(left, right)
        self._left -= time.perf_counter() - begin
        if self._left <= 0 and self._loading is None:
            self._loading = threading.Thread(target=self.loaded, daemon=True)
            self._loading.start()
        return scores


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
        padded: list[npt.NDArray[Any]] = [
            np.zeros((self.batch, 2 * BITS), np.uint8),
            np.zeros(self.batch),
        ]
        for start in range(0, len(rest), self.batch):
            rows = rest[start : start + self.batch]
            for whole, part in zip(padded, self.inputs(left[rows], right[rows]), strict=True):
                whole[: len(rows)] = part
            scores[rows] = self.graph(*padded).numpy()[: len(rows)]
        return scores

    def inputs(self, left: Signatures, right: Signatures) -> tuple[npt.NDArray[Any], ...]:
        """The bits of both, uint8 [n, 2048], and the sum of their distances to the crowd, float64
        [n]. Bits are unpacked here: with shifts in the graph a pair takes twice the time."""
        company = crowding(self.classifier.weights["crowd"], left, right).astype(np.float64)
        return np.unpackbits(np.concatenate([left, right], axis=1), axis=1), company

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
    """A compiled function of bits uint8 [batch, 2048] and company float64 [batch] -> float32."""
    weights = classifier.weights
    lens = tf.constant(weights["lens"].astype(np.float32))
    intercept, slope, pull, identical = weights["count"].astype(np.float64)
    unit = float(weights["unit"])

    @tf.function(  # type: ignore[untyped-decorator, unused-ignore]
        input_signature=[
            tf.TensorSpec((batch, 2 * BITS), tf.uint8),
            tf.TensorSpec((batch,), tf.float64),
        ]
    )
    def score(bits: Any, company: Any) -> Any:
        signs = 2 * tf.cast(tf.reshape(bits, (2 * batch, BITS)), tf.float32) - 1
        codes = tf.reshape(tf.matmul(signs, lens), (batch, 2, -1))
        codes = tf.cast(codes, tf.float64)
        alike = tf.reduce_sum(codes[:, 0] * codes[:, 1], axis=1)
        differ = tf.cast(bits[:, :BITS] != bits[:, BITS:], tf.float32)
        hamming = tf.cast(tf.reduce_sum(differ, axis=1), tf.float64)
        total = intercept - slope * hamming + pull * company + alike
        return tf.cast(tf.minimum(total, identical) * unit, tf.float32)

    score.get_concrete_function()  # traced now, not when the first pairs come
    return score
