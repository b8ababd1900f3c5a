"""How fast pairs are scored: beside TensorFlow's own matmul, beside `predict`, with 8-bit weights.

The net of about 10M parameters, as published, shows what the runtime takes from the processor; the
bundled classifier is what the stream runs. One thread a process; times are the processor's unless
they are of a Spark job, which are of the clock on the wall.
"""

import time
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import pyarrow as pa

from neardup.benchmarks.figures import Figure, compared
from neardup.benchmarks.index_peers import alternate
from neardup.infra.spark import spark_session
from neardup.models.classifier import Classifier
from neardup.models.feed_forward import BATCH, FeedForward, FeedForwardScorer
from neardup.models.scorer import TensorFlowScorer, tensorflow
from neardup.schemas.settings import SparkSettings

CUBE = 4096
PAIRS_OF_A_TASK = 20 * BATCH
Signatures = Any


def rows(net: FeedForward, quick: bool, seed: int) -> list[Figure]:
    """The figures of speed; ``net``: one of the reference's size."""
    pairs = drawn_pairs(4 * BATCH, seed)
    repeats = 3 if quick else 7
    return [
        beside_matmul(net, pairs, repeats),
        in_map_in_arrow(net, repeats, 4 * BATCH if quick else PAIRS_OF_A_TASK),
        *beside_predict(net, pairs, repeats),
    ]


def drawn_pairs(count: int, seed: int) -> tuple[Signatures, Signatures]:
    """Pairs of signatures uint8 [count, 128] that differ in 0 to 400 bits."""
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 256, (count, 128), np.uint8)
    flips = rng.random((count, 1024)) < rng.uniform(0, 0.4, (count, 1))
    return left, left ^ np.packbits(flips, axis=1)


def beside_matmul(net: FeedForward, pairs: tuple[Signatures, Signatures], repeats: int) -> Figure:
    """From signatures to scores, bits unpacked on the way, in one process."""
    scorer, multiply = FeedForwardScorer(net), matmul()
    scorer.log_odds(*pairs)
    ours, theirs = alternate(
        repeats, lambda _: scorer.log_odds(*pairs), lambda _: multiply(), clock=time.process_time
    )
    done = net.operations * len(pairs[0])
    row = compared(
        "net of 9.8M parameters, one process, one thread",
        "GFLOP/s",
        [done / s / 1e9 for s in ours],
        f"TensorFlow's {CUBE}-cube matmul",
        [2 * CUBE**3 / s / 1e9 for s in theirs],
        target="ratio >= .70",
        quality=f"{len(pairs[0]) / np.median(ours):,.0f} pairs/s, from signatures to scores",
    )
    row.met = row.ratio is not None and row.ratio >= 0.70
    return row


@cache
def matmul() -> Any:
    """A function that multiplies two matrices of CUBE rows and columns once."""
    tf = tensorflow()
    matrix = tf.constant(np.random.default_rng(1).normal(size=(CUBE, CUBE)).astype(np.float32))
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    product()
    return lambda: product().numpy()


def in_map_in_arrow(net: FeedForward, repeats: int, count: int) -> Figure:
    """The same in Spark's workers, one a core: the job's time on the wall, Arrow both ways in it.

    The peer's time is of the multiplication alone, in the same workers.
    """
    spark = spark_session(SparkSettings(), "neardup-classifier", short_jobs=True)
    try:
        # A batch of Arrow is scored as it comes: smaller ones would be padded.
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 4 * BATCH)
        tasks = spark.sparkContext.defaultParallelism
        shared = spark.sparkContext.broadcast((net, *drawn_pairs(BATCH, 1)))
        pairs = spark.range(0, tasks * count, 1, tasks)
        slots = spark.range(0, tasks, 1, tasks)

        def scores(_: int) -> None:
            pairs.mapInArrow(partial(score_pairs, shared), "score float").toArrow()

        def products(_: int) -> float:
            return float(max(slots.mapInArrow(multiply, "seconds double").toArrow()[0].to_pylist()))

        scores(0)
        products(0)
        ours, theirs = [], []
        for repeat in range(repeats):
            begin = time.perf_counter()
            scores(repeat)
            ours.append(time.perf_counter() - begin)
            theirs.append(products(repeat))
    finally:
        spark.stop()
    row = compared(
        f"the same inside mapInArrow, {tasks} workers",
        "GFLOP/s",
        [net.operations * tasks * count / s / 1e9 for s in ours],
        f"the matmul in the same {tasks} workers at once",
        [tasks * 2 * CUBE**3 / s / 1e9 for s in theirs],
        target="ratio >= .60",
        quality=f"{tasks * count / np.median(ours):,.0f} pairs/s; the job's time on the wall",
    )
    row.met = row.ratio is not None and row.ratio >= 0.60
    return row


_scorers: list[FeedForwardScorer] = []


def score_pairs(shared: Any, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For ``mapInArrow``: a pair of the broadcast signatures for each number, scored."""
    net, left, right = shared.value
    if not _scorers:
        _scorers.append(FeedForwardScorer(net))
    for batch in batches:
        number = batch.column("id").to_numpy() % len(left)
        scores = _scorers[0].log_odds(left[number], right[::-1][number])
        yield pa.record_batch({"score": scores})


def multiply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For ``mapInArrow``: the seconds of one multiplication a row."""
    product = matmul()
    for batch in batches:
        seconds = []
        for _ in range(batch.num_rows):
            begin = time.perf_counter()
            product()
            seconds.append(time.perf_counter() - begin)
        yield pa.record_batch({"seconds": np.array(seconds)})


def beside_predict(
    net: FeedForward, pairs: tuple[Signatures, Signatures], repeats: int
) -> list[Figure]:
    """The bundled classifier and the large net beside Keras's `predict` of the same graphs.

    A call scores one batch, as a task of the stream does with the candidates of its segments.
    """
    shipped, large = TensorFlowScorer(Classifier.load()), FeedForwardScorer(net)
    left, right = (side[: shipped.batch] for side in pairs)
    found = []
    for name, scorer, target in (
        (
            f"the bundled classifier ({shipped.classifier.version}), as the stream runs it",
            shipped,
            4.0,
        ),
        ("the net of 9.8M parameters", large, None),
    ):
        inputs = scorer.inputs(left, right)
        model = keras_model(scorer.graph, inputs.shape[1], scorer.batch)
        predict = partial(model.predict, inputs, batch_size=scorer.batch, verbose=0)
        worst = np.abs(predict().ravel() - scorer.log_odds(left, right)).max()
        ours, theirs = alternate(
            5 * repeats,
            lambda _, scorer=scorer: scorer.log_odds(left, right),
            lambda _, predict=predict: predict(),
            clock=time.process_time,
        )
        row = compared(
            f"pairs scored: {name}",
            "pairs/s",
            [len(left) / s for s in ours],
            f"model.predict of the same {scorer.batch} pairs, bits unpacked before",
            [len(left) / s for s in theirs],
            target=None if target is None else f"ratio >= {target:g}",
            quality=f"greatest difference of a score {worst:g}",
        )
        row.met = None if target is None else row.ratio is not None and row.ratio >= target
        found.append(row)
    return found


def keras_model(graph: Any, inputs: int, batch: int) -> Any:
    """A Keras model of a scorer's graph, for its `predict`."""
    keras = tensorflow().keras
    bits = keras.Input(batch_shape=(batch, inputs), dtype="uint8")
    return keras.Model(bits, keras.layers.Lambda(graph, output_shape=(batch,))(bits))
