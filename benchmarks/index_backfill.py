"""All near-duplicate pairs of a corpus: `neardup backfill` beside Spark MLlib's similarity join."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from neardup.benchmarks.crowd import Floats, Signatures
from neardup.benchmarks.figures import Figure, figure
from neardup.benchmarks.index_data import Crowds
from neardup.benchmarks.index_mllib import Join, Outcome, join_itself, tuned
from neardup.index.hamming import distances, pairs_within_batch
from neardup.models.hasher import Hasher
from neardup.schemas.lake import Lake
from neardup.schemas.settings import load_settings
from neardup.streaming.backfill import Backfill

PLANTED = 20
"""One of so many pins is a near-duplicate of an earlier one."""

MLLIB_RECALL = 0.5
JUDGED = 100_000
DRIVER_MEMORY = "6g"


@dataclass(frozen=True, eq=False)
class Corpus:
    """``vectors`` float32 [n, dim]; row ``newer[i]`` is a near-duplicate of row ``older[i]``."""

    vectors: Floats
    newer: npt.NDArray[np.int64]
    older: npt.NDArray[np.int64]

    def first(self, n: int) -> "Corpus":
        """A smaller one with the same share of near-duplicates."""
        kept = len(self.newer) * n // len(self.vectors)
        plain = np.setdiff1d(np.arange(len(self.vectors)), self.newer[kept:])
        plain = np.setdiff1d(plain, np.concatenate([self.newer[:kept], self.older[:kept]]))
        rows = np.concatenate([self.older[:kept], plain[: n - 2 * kept], self.newer[:kept]])
        return Corpus(self.vectors[rows], np.arange(n - kept, n), np.arange(kept))


def planted_corpus(
    hasher: Hasher,
    vectors: Floats,
    changes: Floats,
    radius: int,
    rng: np.random.Generator,
) -> Corpus:
    """Give one in PLANTED of ``vectors``, the last ones, a change of a real pair on another one.

    True pairs are those whose signatures are within the radius.
    """
    vectors = np.array(vectors)
    count = len(vectors) // PLANTED
    older = rng.choice(len(vectors) - count, count, replace=False)
    newer = np.arange(len(vectors) - count, len(vectors))
    vectors[newer] = vectors[older] + changes[rng.integers(0, len(changes), count)]
    apart = distances(hasher.sign(vectors[newer]), hasher.sign(vectors[older]))
    return Corpus(vectors, newer[apart <= radius], older[apart <= radius])


def real_changes(
    vectors: Floats, signatures: Signatures, groups: npt.NDArray[np.int64], radius: int
) -> Floats:
    """Differences float32 [m, dim] of embeddings of one group that are within the radius."""
    near = pairs_within_batch(signatures, radius)
    true = groups[near.query] == groups[near.corpus]
    changes: Floats = vectors[near.query[true]] - vectors[near.corpus[true]]
    return changes


def backfill(
    hasher: Hasher, crowds: Crowds, radius: int, seed: int, sizes: tuple[int, int], limit: float
) -> Figure:
    """Seconds for all pairs of ``sizes[1]`` pins, Spark's start included on both sides.

    MLlib also joins ``sizes[0]`` pins. Where it does not finish all in ``limit`` seconds, its time
    is that of the fewer pins, times the square of how many times as many there are.
    """
    n = sizes[1]
    rng = np.random.default_rng([seed, n])
    labelled, groups = crowds.labelled()
    changes = real_changes(labelled, hasher.sign(labelled), groups, radius)
    corpus = planted_corpus(hasher, crowds.embeddings(n), changes, radius, rng)
    join = _tuned(corpus, rng)
    with tempfile.TemporaryDirectory(prefix="neardup-backfill-") as directory:
        seconds, found, links = _ours(corpus, Path(directory))
    fewer = corpus.first(sizes[0])
    few, whole = (join_itself(some.vectors, join, limit, DRIVER_MEMORY) for some in (fewer, corpus))
    squared = few.seconds * (n / sizes[0]) ** 2
    theirs = whole.start + (max(squared, whole.seconds) if whole.why else whole.seconds)
    own = np.isin(_keys(corpus.newer, corpus.older), found).mean()
    return figure(
        f"all pairs of {n:,} pins in Spark",
        "s",
        [seconds],
        peer=f"MLlib approxSimilarityJoin{', scaled up' if whole.why else ''}",
        peer_value=theirs,
        ratio=seconds / theirs,
        target="ratio <= .1 at 100,000, at higher recall",
        met=None if n < JUDGED else seconds / theirs <= 0.1 and float(own) > MLLIB_RECALL,
        quality=f"{own:.4f} of {len(corpus.newer):,} planted pairs are among {links:,} links, each "
        f"accepted by the classifier; MLlib ({join.tables} tables, buckets of {join.bucket:.3g}, "
        f"tuned for recall {MLLIB_RECALL:g}, pairs up to distance {join.distance:.3g}): "
        f"{_told(whole, corpus)}; of {sizes[0]:,} pins {_told(few, fewer)}",
    )


def _tuned(corpus: Corpus, rng: np.random.Generator) -> Join:
    vectors, dim = corpus.vectors, corpus.vectors.shape[1]
    true = np.linalg.norm(vectors[corpus.newer] - vectors[corpus.older], axis=1)
    left, right = rng.integers(0, len(vectors), (2, 2000))
    unrelated = np.linalg.norm(vectors[left] - vectors[right], axis=1)
    return tuned(true, unrelated[left != right], dim, MLLIB_RECALL)


def _ours(corpus: Corpus, directory: Path) -> tuple[float, npt.NDArray[np.int64], int]:
    """Seconds, the links as keys, and how many there are. Row i has ordinal i."""
    vectors = corpus.vectors
    rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    ids = [f"pin-{i:08d}" for i in range(len(vectors))]
    table = pa.table({"pin_id": ids, "embedding": rows.cast(pa.list_(pa.float32()))})
    pq.write_table(table, directory / "corpus.parquet", row_group_size=10_000)
    sections: dict[str, dict[str, Any]] = {
        "lake": {"path": directory / "lake"},
        "spark": {"driver_memory": DRIVER_MEMORY},
    }
    settings = load_settings(None, **sections)
    begin = time.perf_counter()
    Backfill(settings, directory / "corpus.parquet").run()
    seconds = time.perf_counter() - begin
    links = Lake(settings.lake.path).sql(
        "SELECT ordinal AS newer, unnest(links).ordinal AS older FROM pins"
    )
    newer, older = (links[name].to_numpy() for name in ("newer", "older"))
    return seconds, _keys(newer, older), len(newer)


def _told(outcome: Outcome, corpus: Corpus) -> str:
    if outcome.pairs is None:
        return outcome.why
    found = np.isin(_keys(corpus.newer, corpus.older), _keys(*outcome.pairs.T))
    return f"{outcome.seconds:.0f} s, {found.mean():.2f} of the planted pairs"


def _keys(newer: npt.NDArray[np.int64], older: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return newer << 32 | older
