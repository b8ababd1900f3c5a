"""Was this picture used before? Answered from the Delta tables, without Spark or TensorFlow.

The same search as the stream's: terms in the segments, brute force over the pins that are in no
segment yet, the classifier's weights in plain numpy. Not every pin is indexed: those that are lead
to the others, their copies and the members of their clusters.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds

from neardup.answers.near import near
from neardup.clusters.ledger import require_hasher
from neardup.index.cache import SegmentCache
from neardup.index.hamming import pairs_within
from neardup.index.lake_segments import searched_segments
from neardup.index.search import search
from neardup.index.segment import SegmentName
from neardup.index.store import looks_of, stacked
from neardup.models.classifier import Classifier, judged_numpy
from neardup.models.embed import open_embedder
from neardup.models.hasher import Hasher
from neardup.models.images import decode
from neardup.models.looks import Looks
from neardup.models.pixels import looks_features
from neardup.models.registry import classifier_of
from neardup.schemas.lake import Lake, segment_blocks
from neardup.schemas.settings import Settings

Int64 = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]


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
    classifier = classifier_of(lake, settings)
    query, looks = _codes(settings, lake, classifier, picture)
    ordinals, others = _candidates(settings, lake, query, classifier.radius)
    ordinals, others = _with_company(lake, ordinals, others, limit)
    hamming = np.bitwise_count(others ^ query).sum(axis=1, dtype=np.int64)
    nearest = np.lexsort((ordinals, hamming))[: 4 * limit]
    ordinals, others, hamming = ordinals[nearest], others[nearest], hamming[nearest]
    own, own_looks = (np.repeat(code, len(others), axis=0) for code in (query, looks))
    scores = judged_numpy(classifier, own, others, own_looks, _looks(lake, ordinals))
    chances = classifier.probability(scores)
    members = _members(lake, ordinals)
    matches = [
        Match(
            **members[ordinal],
            hamming=bits,
            probability=chance,
            duplicate=bool(score >= classifier.threshold),
        )
        for ordinal, bits, score, chance in zip(
            *(column.tolist() for column in (ordinals, hamming, scores, chances)), strict=True
        )
        if ordinal in members
    ]
    return sorted(matches, key=lambda match: -match.probability)[:limit]


def _codes(
    settings: Settings, lake: Lake, classifier: Classifier, picture: bytes
) -> tuple[Signatures, Looks]:
    """The signature uint8 [1, 128] and the looks uint8 [1, 24] of a picture."""
    hasher = Hasher.load(settings.models.hasher)
    classifier.check_hasher(hasher.version)
    require_hasher(lake, hasher.version)
    embedder = open_embedder(settings.models.embedder, weights=settings.models.embedder_weights)
    image = decode(picture, max_pixels=settings.events.max_pixels)
    looks = hasher.sign_looks(looks_features(image)[None])
    return hasher.sign(embedder.embed([image])), looks


def _looks(lake: Lake, ordinals: Int64) -> Looks:
    """Of pins by ordinal, uint8 [n, 24]."""
    rows = lake.read("pins", ["ordinal", "looks"], ds.field("ordinal").isin(pa.array(ordinals)))
    known = dict(zip(rows["ordinal"].to_pylist(), rows["looks"].to_pylist(), strict=True))
    return looks_of([known[ordinal] for ordinal in ordinals.tolist()])


def _candidates(
    settings: Settings, lake: Lake, query: Signatures, radius: int
) -> tuple[Int64, Signatures]:
    """Ordinals int64 [n] and signatures uint8 [n, 128] of pins within the radius."""
    cache = SegmentCache(lake.cache_directory(), settings.stream.cache_bytes)
    segment_ids = searched_segments(lake)
    ordinals, signatures = [], []
    for segment_id in segment_ids:
        segment = cache.open(segment_id, partial(segment_blocks, lake.path, segment_id))
        hits = search(segment, query, radius).candidates
        ordinals.append(hits.ordinal)
        signatures.append(segment.signatures_of(hits.ordinal))
    first = SegmentName.of(segment_ids[-1]).end if segment_ids else 0
    unflushed = (ds.field("ordinal") >= first) & ds.field("signature").is_valid()
    tail = lake.read("pins", ["ordinal", "signature"], unflushed)  # purged pins have none
    recent = stacked(tail["signature"].to_pylist())
    _, near, _ = pairs_within(query, recent, radius)
    ordinals.append(tail["ordinal"].to_numpy()[near])
    signatures.append(recent[near])
    return np.concatenate(ordinals), np.concatenate(signatures)


def _with_company(
    lake: Lake, ordinals: Int64, signatures: Signatures, limit: int
) -> tuple[Int64, Signatures]:
    """Those pins, and the oldest of the copies they answer for and of their clusters' members."""
    if not len(ordinals):
        return ordinals, signatures
    clusters = sorted({member["cluster_id"] for member in _members(lake, ordinals).values()})
    with near(lake, "cluster_id", clusters) as connection:
        rows = connection.execute(
            """WITH company AS (
                SELECT ordinal FROM clusters_current
                UNION SELECT ordinal FROM pins WHERE list_contains($ordinals, exemplar)
            )
            SELECT ordinal, signature FROM pins
            WHERE signature IS NOT NULL AND NOT list_contains($ordinals, ordinal)
                AND ordinal IN (FROM company)
            ORDER BY ordinal LIMIT $limit""",
            {"ordinals": ordinals.tolist(), "limit": 4 * limit},
        ).to_arrow_table()
    company = stacked(rows["signature"].to_pylist())
    return (
        np.concatenate([ordinals, rows["ordinal"].to_numpy()]),
        np.concatenate([signatures, company]),
    )


def _members(lake: Lake, ordinals: Int64) -> dict[int, dict[str, Any]]:
    """Present membership of those of the pins that are live, by ordinal."""
    if not len(ordinals):
        return {}
    with near(lake, "ordinal", ordinals.tolist()) as connection:
        rows = connection.execute(
            "SELECT ordinal, pin_id, cluster_id, head FROM clusters_current"
        ).to_arrow_table()
    return {row.pop("ordinal"): row for row in rows.to_pylist()}
