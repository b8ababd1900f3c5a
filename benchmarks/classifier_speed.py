"""How fast pairs are scored: beside TensorFlow's own matmul, beside `predict`, with 8-bit weights.

The net of about 10M parameters, as published, shows what the runtime takes from the processor; the
bundled classifier is what the stream runs. One thread a process; times are the processor's unless
they are of a Spark job, which are of the clock on the wall.
"""

import time
from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
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

Signatures = npt.NDArray[np.uint8]


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
    """Pairs of signatures uint8 [count, 128] that differ in about 20 to 400 bits; none is equal."""
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 256, (count, 128), np.uint8)
    flips = rng.random((count, 1024)) < rng.uniform(0.02, 0.4, (count, 1))
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

    A call scores one batch, as a task of the stream does with the candidates of its segments. Both
    sides get the graph's inputs ready made.
    """
    shipped = TensorFlowScorer(Classifier.load())
    version = shipped.classifier.version
    bundled = predicted(
        f"the bundled classifier ({version}), as the stream runs it", shipped, pairs, repeats
    )
    bundled.target, bundled.met = "ratio >= 4", bundled.ratio is not None and bundled.ratio >= 4
    return [
        bundled,
        predicted("the net of 9.8M parameters", FeedForwardScorer(net), pairs, repeats),
    ]


def predicted(
    name: str,
    scorer: TensorFlowScorer | FeedForwardScorer,
    pairs: tuple[Signatures, Signatures],
    repeats: int,
) -> Figure:
    """Pairs a second through a scorer's graph, beside `predict`."""
    left, right = (side[: scorer.batch] for side in pairs)
    inputs = scorer.inputs(left, right)
    model = keras_model(scorer.graph, inputs)

    def predict(_: int) -> Any:
        return model.predict(list(inputs), batch_size=scorer.batch, verbose=0)

    worst = float(np.abs(predict(0).ravel() - scorer.log_odds(left, right)).max())
    ours, theirs, whole = alternate(
        5 * repeats,
        lambda _: scorer.graph(*inputs).numpy(),
        predict,
        lambda _: scorer.log_odds(left, right),
        clock=time.process_time,
    )
    return compared(
        f"pairs scored: {name}",
        "pairs/s",
        [len(left) / s for s in ours],
        f"model.predict of the same {scorer.batch} pairs",
        [len(left) / s for s in theirs],
        quality=f"greatest difference of a score {worst:g}; from signatures, of which none comes "
        f"twice: {len(left) / np.median(whole):,.0f} pairs/s",
    )


def keras_model(graph: Any, inputs: Sequence[npt.NDArray[Any]]) -> Any:
    """A Keras model of a scorer's graph, for its `predict`."""
    keras = tensorflow().keras
    given = [keras.Input(batch_shape=one.shape, dtype=str(one.dtype)) for one in inputs]
    whole = keras.layers.Lambda(
        lambda values: graph(*values), output_shape=(len(inputs[0]),), dtype="float64"
    )
    return keras.Model(given, whole(given))
