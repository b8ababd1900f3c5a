"""The published form of the classifier: a plain feed-forward net on XOR bits, trained with Adam.

Pinterest describes such a net of about 10M parameters for its NearDup. It stands here to be
measured: trained on thousands of pictures instead of a billion pairs it does worse than counting
bits, and what the stream runs is ``models.classifier``. Weights are floats, so the last bits of a
score are one processor's, and on some a pair's place in its batch decides them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from neardup.models.scorer import tensorflow
from neardup.models.training import Labelled, Pairs

REFERENCE = (1024, 2458, 2458, 512, 1)
"""Inputs, hidden units, output: 9.8M parameters."""

BATCH = 1024

Floats = npt.NDArray[np.float32]
Signatures = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FeedForward:
    """Layers of weights float32 [inputs, outputs] and biases float32 [outputs]; ReLU between."""

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    @property
    def operations(self) -> int:
        """Floating-point operations a pair: a product and a sum for each weight."""
        return 2 * sum(weight.size for weight in self.weights)

    @classmethod
    def drawn(cls, sizes: Sequence[int], seed: int) -> "FeedForward":
        """Weights drawn by chance (He et al. 2015), to start from or to measure speed with."""
        rng = np.random.default_rng(seed)
        weights = [
            rng.normal(0, (2 / inputs) ** 0.5, (inputs, outputs)).astype(np.float32)
            for inputs, outputs in pairwise(sizes)
        ]
        return cls(tuple(weights), tuple(np.zeros(size, np.float32) for size in sizes[1:]))


class FeedForwardScorer:
    """Scores pairs in batches of one size, padded, by one tf.function. Loads TensorFlow.

    ``graph`` takes ``batch`` rows of ``inputs``.
    """

    def __init__(self, net: FeedForward, batch: int = BATCH) -> None:
        tf = tensorflow()
        self.batch = batch
        layers = [[tf.constant(part) for part in layer] for layer in _layers(net)]

        @tf.function(input_signature=[tf.TensorSpec((batch, net.weights[0].shape[0]), tf.uint8)])  # type: ignore[untyped-decorator, unused-ignore]
        def score(bits: Any) -> Any:
            return through(tf, layers, tf.cast(bits, tf.float32))

        self.graph: Any = score

    def inputs(self, left: Signatures, right: Signatures) -> tuple[npt.NDArray[Any], ...]:
        """XOR bits uint8 [n, 1024] of signatures uint8 [n, 128]."""
        return (np.unpackbits(left ^ right, axis=1),)

    def log_odds(self, left: Signatures, right: Signatures) -> Floats:
        """Log-odds float32 [n] of pairs of signatures uint8 [n, 128]."""
        scores = np.empty(len(left), np.float32)
        padded = np.zeros((self.batch, 8 * left.shape[1]), np.uint8)
        for start in range(0, len(left), self.batch):
            rows = slice(start, start + self.batch)
            (bits,) = self.inputs(left[rows], right[rows])
            padded[: len(bits)] = bits
            scores[rows] = self.graph(padded).numpy()[: len(bits)]
        return scores


def through(tf: Any, layers: Sequence[Sequence[Any]], inputs: Any) -> Any:
    """The output [n] of layers of tensors or variables, for inputs float32 [n, inputs]."""
    *hidden, (weight, bias) = layers
    active = inputs
    for inner, inner_bias in hidden:
        active = tf.nn.relu(tf.matmul(active, inner) + inner_bias)
    return (tf.matmul(active, weight) + bias)[:, 0]


def train_feed_forward(
    labelled: Labelled,
    pairs: Pairs,
    sizes: Sequence[int] = REFERENCE,
    *,
    epochs: int = 2,
    batch: int = 512,
    rate: float = 1e-4,
    seed: int = 1,
) -> FeedForward:
    """Train on the XOR bits of pairs of signatures, with Adam and cross entropy. Loads TensorFlow.

    The same pairs and seed give the same weights on the same machine.
    """
    tf = tensorflow()
    layers = [
        [tf.Variable(part) for part in layer] for layer in _layers(FeedForward.drawn(sizes, seed))
    ]
    variables = [part for layer in layers for part in layer]
    optimizer = tf.keras.optimizers.Adam(rate)

    @tf.function  # type: ignore[untyped-decorator, unused-ignore]
    def step(bits: Any, same: Any) -> None:
        with tf.GradientTape() as tape:
            logits = through(tf, layers, tf.cast(bits, tf.float32))
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=same, logits=logits)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(pairs.same))
        for start in range(0, len(order) - batch + 1, batch):
            rows = order[start : start + batch]
            left, right = pairs.left[rows], pairs.right[rows]
            bits = np.unpackbits(labelled.signatures[left] ^ labelled.signatures[right], axis=1)
            step(tf.constant(bits), tf.constant(pairs.same[rows].astype(np.float32)))
    return FeedForward(
        tuple(weight.numpy() for weight, _ in layers), tuple(bias.numpy() for _, bias in layers)
    )


def _layers(net: FeedForward) -> list[tuple[Floats, Floats]]:
    return list(zip(net.weights, net.biases, strict=True))
