"""Was this picture used before? Answered from the Delta tables, without Spark or TensorFlow.

The same search as the stream's: terms in the segments, brute force over the pins that are in no
segment yet, the classifier's weights in plain numpy.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.dataset as ds

from neardup.clusters.ledger import require_hasher
from neardup.index.cache import SegmentCache
from neardup.index.hamming import pairs_within
from neardup.index.search import search
from neardup.index.store import stacked
from neardup.models.classifier import Classifier, log_odds_numpy
from neardup.models.embed import open_embedder
from neardup.models.hasher import Hasher
from neardup.models.images import decode
from neardup.schemas.lake import Lake, segment_blocks
from neardup.schemas.settings import Settings


@dataclass(frozen=True)
class Match:
    """A pin that shows the picture: its cluster, differing bits, and probability (0 to 1)."""

    pin_id: str
    cluster_id: int
    head: str
    hamming: int
    probability: float
    duplicate: bool


def lookup(settings: Settings, picture: bytes, limit: int = 20) -> list[Match]:
    """The live pins most like a picture (encoded bytes), best first.

    ``duplicate`` says whether the classifier reports the pair (precision .99). Raises NeardupError
    if the picture cannot be read.
    """
    lake = Lake(settings.lake.path)
    classifier = Classifier.load(settings.models.classifier)
    query = _signature(settings, lake, classifier, picture)
    ordinals, others = _candidates(settings, lake, query, classifier.radius)
    hamming = np.bitwise_count(others ^ query).sum(axis=1, dtype=np.int64)
    nearest = np.lexsort((ordinals, hamming))[: 4 * limit]
    ordinals, others, hamming = ordinals[nearest], others[nearest], hamming[nearest]
    scores = log_odds_numpy(classifier, np.repeat(query, len(others), axis=0), others)
    members = _members(lake, ordinals)
    matches = [
        Match(
            **members[ordinal],
            hamming=bits,
            probability=float(1 / (1 + np.exp(-score))),
            duplicate=bool(score >= classifier.threshold),
        )
        for ordinal, bits, score in zip(ordinals.tolist(), hamming.tolist(), scores, strict=True)
        if ordinal in members
    ]
    return sorted(matches, key=lambda match: -match.probability)[:limit]


def _signature(
    settings: Settings, lake: Lake, classifier: Classifier, picture: bytes
) -> npt.NDArray[np.uint8]:
    hasher = Hasher.load(settings.models.hasher)
    classifier.check_hasher(hasher.version)
    require_hasher(lake, hasher.version)
    embedder = open_embedder(settings.models.embedder, weights=settings.models.embedder_weights)
    image = decode(picture, max_pixels=settings.events.max_pixels)
    return hasher.sign(embedder.embed([image]))


def _candidates(
    settings: Settings, lake: Lake, query: npt.NDArray[np.uint8], radius: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Ordinals int64 [n] and signatures uint8 [n, 128] of pins within the radius."""
    cache = SegmentCache(lake.cache_directory(), settings.stream.cache_bytes)
    rows = lake.rows("SELECT segment_id, max(end_ordinal) AS e FROM segments GROUP BY 1")
    ordinals, signatures = [], []
    for row in rows:
        load = partial(segment_blocks, lake.path, row["segment_id"])
        segment = cache.open(row["segment_id"], load)
        hits = search(segment, query, radius).candidates
        ordinals.append(hits.ordinal)
        signatures.append(segment.signatures[hits.ordinal - segment.first])
    first = max((row["e"] for row in rows), default=0)
    tail = lake.read("pins", ["ordinal", "signature"], ds.field("ordinal") >= first)
    recent = stacked(tail["signature"].to_pylist())
    _, near, _ = pairs_within(query, recent, radius)
    ordinals.append(tail["ordinal"].to_numpy()[near])
    signatures.append(recent[near])
    return np.concatenate(ordinals), np.concatenate(signatures)


def _members(lake: Lake, ordinals: npt.NDArray[np.int64]) -> dict[int, dict[str, Any]]:
    """Present membership of those of the pins that are live, by ordinal."""
    rows = lake.rows(
        """SELECT ordinal, pin_id, cluster_id, head FROM clusters_current
        WHERE list_contains($ordinals, ordinal)""",
        {"ordinals": ordinals.tolist()},
    )
    return {row.pop("ordinal"): row for row in rows}
