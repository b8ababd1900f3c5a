"""Training the net of ``models.classifier``: its lens, and how much count and crowd weigh.

A batch is a few pictures and their nearest look-alikes, several copies of each; every pair of the
batch is learned from, true ones as much as false ones in sum. Pairs of look-alikes are what
decides at a precision of .99, and in a batch drawn by chance there are none.

Training starts from the count's own decisions: the lens starts near zero, and its weights decay
towards zero, so it holds what many pictures agree on. AdamW (Loshchilov, Hutter 2019); the weights
that are kept are a moving average of the last hundred steps (Polyak, Juditsky 1992).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.models.artifact import content_hash
from neardup.models.checkpoint import load_checkpoint, save_checkpoint
from neardup.models.classifier import BITS, COUNT_LIMIT, LENS_LIMIT
from neardup.models.crowd import NOBODY, crowd_distance
from neardup.models.scorer import tensorflow
from neardup.models.training import Int64, Labelled, Signatures, hamming_table, pair_keys
from neardup.schemas.errors import TrainingError

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int, float], None]

LOOK_ALIKES = 40  # nearest other pictures that a picture's company is drawn from
SMALLEST_UNIT = 2.0**-32
CROWD_SIZE = 4096
CROWD_CENTRE, CROWD_SPREAD = 3200, 800  # what sums of eight distances are near; for the optimiser


@dataclass(frozen=True)
class Training:
    """How the net is trained; a batch has ``pictures`` with ``company`` look-alikes each."""

    width: int = 256
    epochs: int = 60
    pictures: int = 8
    company: int = 12
    copies: int = 4
    rate: float = 1e-3
    decay: float = 60.0
    seed: int = 1


PRESETS = MappingProxyType(
    {"small": Training(width=64), "default": Training(), "large": Training(width=1024)}
)
"""Sizes by name; docs/classifier.md has their figures, and those of the published form."""


class Net(NamedTuple):
    """Trained weights as floats: logit = intercept - slope * Hamming + pull * crowds + lens . lens.

    ``lens`` float32 [1024, d]; ``crowd`` uint8 [c, 128].
    """

    lens: Floats
    crowd: Signatures
    intercept: float
    slope: float
    pull: float


def train_student(
    labelled: Labelled,
    how: Training,
    *,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Net:
    """Train on pictures and copies of them; the same data and settings give the same net.

    ``checkpoint``: a file that is written now and then; training goes on from there if it is of
    this very training, and ends with the same weights. ``progress`` is called with steps done,
    steps in all and the mean loss. Loads TensorFlow. Raises TrainingError if the loss is no number.
    """
    data = _Data(labelled, how)
    learner = _Learner(how, data.steps)
    identity = data.identity(how)
    done = learner.resume(load_checkpoint(checkpoint, identity))
    for step in range(done, data.steps):
        loss = learner.learn(data.batch(step))
        if not np.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss} at step {step + 1} of {data.steps}: the net has run away. "
                "Train with other pictures or another seed."
            )
        last = step + 1 == data.steps
        if checkpoint and ((step + 1) % 200 == 0 or last):
            save_checkpoint(checkpoint, identity, {"done": np.array(step + 1), **learner.state()})
        if progress and (step % 20 == 0 or last):
            progress(step + 1, data.steps, loss)
    return learner.net(data.crowd)


def whole_weights(
    net: Net, scale: float = 1.0, shift: float = 0.0, identical: float = 0.0
) -> dict[str, Any]:
    """Weights in the whole numbers of ``classifier.WEIGHTS``, for scale * logit + shift.

    ``identical``: the log-odds of identical signatures, already on that scale.
    """
    lens = net.lens.astype(np.float64) * scale**0.5
    largest = max(float(np.abs(lens).max()) / LENS_LIMIT, SMALLEST_UNIT**0.5)
    step = 2.0 ** np.ceil(np.log2(largest))
    unit = step**2
    count = [scale * net.intercept + shift, scale * net.slope, scale * net.pull, identical]
    return {
        "lens": np.rint(lens / step).astype("|i1"),
        "crowd": net.crowd,
        "count": np.rint(np.array(count) / unit).clip(-COUNT_LIMIT, COUNT_LIMIT).astype("<i8"),
        "unit": np.array(unit, "<f8"),
    }


class _Batch(NamedTuple):
    signs: Floats  # [n, 1024], -1 or 1
    crowded: Floats  # [n]
    same: Floats  # [n, n], 1 for a true pair
    counts: Floats  # [n, n], 0 for a pair that says nothing


class _Data:
    """The batches of a training; the i-th is a function of the seed and i alone."""

    def __init__(self, labelled: Labelled, how: Training) -> None:
        self._labelled, self._how = labelled, how
        pictures = np.flatnonzero(labelled.edits == 0)
        self._pictures = pictures
        self._rows = _rows_by_picture(labelled, pictures)
        self._company = _look_alikes(labelled.signatures[pictures])
        rng = np.random.default_rng(how.seed)
        members = np.sort(rng.permutation(len(pictures))[:CROWD_SIZE])
        self.crowd = labelled.signatures[pictures[members]]
        own = np.full(int(labelled.source.max()) + 1, NOBODY)
        own[labelled.source[pictures[members]]] = np.arange(len(members))
        sums = crowd_distance(labelled.signatures, self.crowd, own[labelled.source])
        self._crowded = ((sums - CROWD_CENTRE) / CROWD_SPREAD).astype(np.float32)
        drawn = how.pictures * (how.company + 1)
        self.steps = max(1, how.epochs * len(pictures) // drawn)

    def identity(self, how: Training) -> str:
        """What a checkpoint must have been made from."""
        labelled = self._labelled
        return content_hash(
            {
                "signatures": labelled.signatures,
                "source": labelled.source,
                "doubtful": labelled.doubtful,
                "how": np.frombuffer(repr(how).encode(), np.uint8),
            }
        )

    def batch(self, step: int) -> _Batch:
        rng = np.random.default_rng([self._how.seed, step])
        how, labelled = self._how, self._labelled
        drawn = rng.integers(0, len(self._pictures), how.pictures)
        company = [
            rng.choice(self._company[i], min(how.company, self._company.shape[1]), replace=False)
            for i in drawn
        ]
        chosen = np.unique(np.concatenate([drawn, *company]))
        rows = np.concatenate(
            [
                rng.choice(self._rows[i], min(how.copies, len(self._rows[i])), replace=False)
                for i in chosen
            ]
        )
        source = labelled.source[rows]
        same = source[:, None] == source
        counts = same | ~np.isin(pair_keys(source[:, None], source), labelled.doubtful)
        np.fill_diagonal(counts, val=False)
        signs = 2 * np.unpackbits(labelled.signatures[rows], axis=1).astype(np.float32) - 1
        tables = same.astype(np.float32), counts.astype(np.float32)
        return _Batch(signs, self._crowded[rows], *tables)


class _Learner:
    """The variables, and the step that moves them."""

    def __init__(self, how: Training, steps: int) -> None:
        tf = tensorflow()
        tf.keras.utils.set_random_seed(how.seed)
        spread = 1.2 / (BITS * how.width) ** 0.5
        self._lens = tf.Variable(tf.random.normal((BITS, how.width), stddev=spread))
        self._count = tf.Variable([1.6, 5.0, 2.4])  # the count's own scale, and half of the crowd's
        self._variables = [self._lens, self._count]
        self._optimizer = tf.keras.optimizers.AdamW(
            tf.keras.optimizers.schedules.PolynomialDecay(how.rate, steps, how.rate / 100),
            weight_decay=how.decay,
            global_clipnorm=1.0,
            use_ema=True,
            ema_momentum=0.99,
        )
        self._optimizer.exclude_from_weight_decay(var_list=[self._count])
        self._optimizer.build(self._variables)
        self._step = _step(tf, self._variables, self._optimizer)

    def learn(self, batch: _Batch) -> float:
        """One step; the mean loss of a true pair with its share of false ones."""
        return float(self._step(*batch))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        everything = [*self._variables, *self._optimizer.variables]
        return {str(i): np.array(part.numpy()) for i, part in enumerate(everything)}

    def resume(self, state: Mapping[str, npt.NDArray[Any]] | None) -> int:
        """Take up a state; the number of steps that led to it."""
        if state is None:
            return 0
        for i, part in enumerate([*self._variables, *self._optimizer.variables]):
            part.assign(state[str(i)])
        return int(state["done"])

    def net(self, crowd: Signatures) -> Net:
        self._optimizer.finalize_variable_values(self._variables)
        intercept, slope, pull = (float(value) for value in self._count.numpy())
        pull /= CROWD_SPREAD
        return Net(
            lens=self._lens.numpy(),
            crowd=crowd,
            intercept=10 * intercept - 2 * pull * CROWD_CENTRE,
            slope=slope / 100,
            pull=pull,
        )


def _step(tf: Any, variables: Any, optimizer: Any) -> Any:
    lens, count = variables

    # One trace for batches of every size: another trace may add up in another order.
    shapes = [(None, BITS), (None,), (None, None), (None, None)]
    signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator, unused-ignore]
    def step(signs: Any, crowded: Any, same: Any, counts: Any) -> Any:
        with tf.GradientTape() as tape:
            seen = signs @ lens
            hamming = (BITS - tf.matmul(signs, signs, transpose_b=True)) / 2
            crowds = crowded[:, None] + crowded[None, :]
            logit = 10 * count[0] - count[1] / 100 * hamming + count[2] * crowds
            logit += tf.matmul(seen, seen, transpose_b=True)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=same, logits=logit) * counts
            loss = tf.reduce_sum(losses) / tf.maximum(1.0, tf.reduce_sum(same * counts))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return step


def _rows_by_picture(labelled: Labelled, pictures: Int64) -> list[Int64]:
    """For each picture the rows made from it, its own among them."""
    order = np.argsort(labelled.source, kind="stable")
    ranked = labelled.source[order]
    first = np.searchsorted(ranked, labelled.source[pictures], "left")
    end = np.searchsorted(ranked, labelled.source[pictures], "right")
    return [order[a:b] for a, b in zip(first, end, strict=True)]


def _look_alikes(signatures: Signatures) -> Int64:
    """The nearest LOOK_ALIKES other rows of each, int64 [n, <= 40], in no order."""
    depth = min(LOOK_ALIKES, len(signatures) - 1)
    found = []
    for start in range(0, len(signatures), 1024):
        table = hamming_table(signatures[start : start + 1024], signatures)
        rows = np.arange(len(table))
        table[rows, rows + start] = BITS + 1
        found.append(np.argpartition(table, depth - 1, axis=1)[:, :depth])
    return np.concatenate(found)
