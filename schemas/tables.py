"""Every table of the lake: its columns, their types and units, and how it is laid out.

``docs/tables.md`` is generated from this module.
"""

from dataclasses import dataclass

import pyarrow as pa

FORMAT_VERSION = 4
MICROSECONDS = pa.timestamp("us", tz="UTC")


def _column(name: str, kind: pa.DataType, comment: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable, metadata={"comment": comment})


def _required(name: str, kind: pa.DataType, comment: str) -> pa.Field:
    return _column(name, kind, comment, nullable=False)


LINK = pa.struct(
    [
        pa.field("ordinal", pa.int64()),
        pa.field("overlap", pa.int32()),
        pa.field("hamming", pa.int32()),
        pa.field("score", pa.float32()),
    ]
)

_POSITION = [
    _required(
        "topic_id",
        pa.string(),
        "Kafka's UUID of the topic; of a corpus a fingerprint",
    ),
    _required("partition", pa.int32(), "Kafka partition, or number of the file"),
    _required("offset", pa.int64(), "Kafka offset, or number of the row"),
]


@dataclass(frozen=True)
class TableSpec:
    """A table: what a row is, its Arrow schema, the columns it is partitioned by."""

    name: str
    row: str
    schema: pa.Schema
    partition_by: tuple[str, ...] = ()


PINS = TableSpec(
    "pins",
    "a pin event as decided. The log: one commit per micro-batch; all other tables fold it",
    pa.schema(
        [
            _required("pin_id", pa.string(), "the producer's id, at most 128 bytes"),
            _required(
                "kind", pa.string(), "add, repeat (same id and signature), delete or override"
            ),
            _column("ordinal", pa.int64(), "dense number of this pin version; only for add"),
            _column("previous", pa.int64(), "ordinal of the live version met: ended or repeated"),
            _column("signature", pa.binary(), "1,024 sign bits, 128 bytes; only for add"),
            _column(
                "looks",
                pa.binary(),
                "192 bits of shapes and colours, 24 bytes; null without a picture, only for add",
            ),
            _column("hasher", pa.string(), "version of the hasher that made both"),
            _column(
                "links",
                pa.list_(LINK),
                "older live pins that match: ordinal, shared terms, differing bits, log-odds",
            ),
            _column("model", pa.string(), "version of the classifier that scored the links"),
            _column(
                "exemplar",
                pa.int64(),
                "nearest indexed pin, if it answers for this one in searches; null: indexed itself",
            ),
            _required("batch_seq", pa.int64(), "number of the micro-batch, from 0, without gaps"),
            *_POSITION,
            _required("event_time", MICROSECONDS, "created_at; for a delete, Kafka's time"),
            _column("source", pa.string(), "as in the event"),
            _column("attributes", pa.map_(pa.string(), pa.string()), "as in the event"),
            _column("image_uri", pa.string(), "as in the event"),
            _column("width", pa.int32(), "pixels, of the decoded picture or as in the event"),
            _column("height", pa.int32(), "pixels"),
            _column("file_bytes", pa.int64(), "size of the encoded picture; null without one"),
            _column("thumbnail", pa.binary(), "JPEG, if stream.thumbnail_px is set"),
        ]
    ),
)

SEGMENTS = TableSpec(
    "segments",
    "a block of a segment of the inverted index: postings of a band, signatures, pin ids ...",
    pa.schema(
        [
            _required(
                "segment_id",
                pa.string(),
                "first ordinal, end ordinal, plan, revision: see index/segment.py",
            ),
            _required("block", pa.string(), "band-NNN, meta, ordinals, signatures or ids"),
            _required("first_ordinal", pa.int64(), "first ordinal of the segment"),
            _required("end_ordinal", pa.int64(), "one past its last ordinal"),
            _required("payload", pa.binary(), "versioned, with its own checksum"),
        ]
    ),
    partition_by=("segment_id",),
)

CLUSTERS = TableSpec(
    "clusters",
    "a pin's membership from a batch on; a moved pin gets a new row, the newest row counts",
    pa.schema(
        [
            _required("pin_id", pa.string(), "the pin"),
            _required("ordinal", pa.int64(), "of the pin version that joined or left"),
            _column("cluster_id", pa.int64(), "null if the pin left; never used again once gone"),
            _column("head", pa.string(), "pin_id of the cluster's head when the row was written"),
            _column("head_ordinal", pa.int64(), "ordinal of the head"),
            _required("generation", pa.int64(), "which fold of the log this row belongs to"),
            _required("batch_seq", pa.int64(), "the row holds from this micro-batch on"),
            _column(
                "component",
                pa.int64(),
                "only in a compaction's rows: oldest pin that a chain of trusted links leads to",
            ),
        ]
    ),
    partition_by=("generation",),
)

GENERATIONS = TableSpec(
    "generations",
    "an event in a generation's life; the published row with the highest sequence is current",
    pa.schema(
        [
            _required("sequence", pa.int64(), "number of this row, from 0"),
            _required("generation", pa.int64(), "0 is the stream's own first fold"),
            _required("status", pa.string(), "prepared, published, or removed: its rows are gone"),
            _required(
                "through_batch_seq", pa.int64(), "last batch that compaction saw; -1 if none"
            ),
            _column("pins", pa.int64(), "live pins it covers"),
            _column("clusters", pa.int64(), "clusters, single pins included"),
            _column("moved", pa.int64(), "pins whose cluster changed against the one before"),
            _column("split", pa.int64(), "clusters of the one before that are now several"),
            _column("merged", pa.int64(), "clusters that hold pins of several of the one before"),
            _column("pair_f1", pa.float64(), "agreement with the stream's fold over pairs, 0 to 1"),
            _column("b3_f1", pa.float64(), "the same by B-cubed, 0 to 1"),
            _column("ari", pa.float64(), "the same as adjusted Rand index, 1 at best"),
            _column("recipe", pa.string(), "how its clusters were made; null: by the stream alone"),
            _required("written_at", MICROSECONDS, "when the row was written"),
        ]
    ),
)

QUARANTINE = TableSpec(
    "quarantine",
    "an event that could not be used, with the reason; one row per source position",
    pa.schema(
        [
            *_POSITION,
            _column("key", pa.binary(), "the Kafka key as it came"),
            _column("value", pa.binary(), "the Kafka value as it came"),
            _required("reason", pa.string(), "a word of the fixed vocabulary in docs/events.md"),
            _required("detail", pa.string(), "for people"),
            _required("kafka_time", MICROSECONDS, "Kafka's timestamp of the event"),
        ]
    ),
)

OVERRIDES = TableSpec(
    "overrides",
    "what a person said about pins; it survives every recompute until it is taken back",
    pa.schema(
        [
            _required("sequence", pa.int64(), "number of this row, from 0; people name it by that"),
            _required("kind", pa.string(), "link, unlink, move, block or forget"),
            _column(
                "pin_id", pa.string(), "the pin it is about; for forget that of the forgotten row"
            ),
            _column("other", pa.string(), "the pin that it is together with, or apart from"),
            _column("left", pa.string(), "only for move: a pin of the cluster that it leaves"),
            _column("forgets", pa.int64(), "only for forget: the row that holds no longer"),
            _required("who", pa.string(), "who said it"),
            _required("why", pa.string(), "and the reason given"),
            _required("written_at", MICROSECONDS, "when the row was written"),
        ]
    ),
)

CLUSTER_HISTORY = TableSpec(
    "cluster_history",
    "where pins of a cluster went when it changed its id, was split, or took in others",
    pa.schema(
        [
            _required("cluster_id", pa.int64(), "the cluster as it was"),
            _required("successor", pa.int64(), "a cluster that has pins of it since"),
            _required("shared", pa.int64(), "how many"),
            _required("share", pa.float64(), "of the pins that it had, 0 to 1"),
            _required("generation", pa.int64(), "the generation in which that happened"),
            _required("batch_seq", pa.int64(), "the micro-batch from which on it holds"),
        ]
    ),
)

MODELS = TableSpec(
    "models",
    "a classifier taken into use; of each role the row with the highest sequence counts",
    pa.schema(
        [
            _required("sequence", pa.int64(), "number of this row, from 0"),
            _required("role", pa.string(), "stream (decides) or shadow (scores beside it)"),
            _column("version", pa.string(), "of the classifier; null: none (shadow switched off)"),
            _required("batch_seq", pa.int64(), "the micro-batch from which on it holds"),
            _required("written_at", MICROSECONDS, "when the row was written"),
        ]
    ),
)

DISAGREEMENTS = TableSpec(
    "disagreements",
    "a pair that one of two classifiers links and the other does not; links are not touched by it",
    pa.schema(
        [
            _required("ordinal", pa.int64(), "the newer pin"),
            _required("other", pa.int64(), "the older one"),
            _required("hamming", pa.int32(), "differing bits"),
            _required("model", pa.string(), "the classifier that decides"),
            _required("score", pa.float32(), "its log-odds"),
            _required("linked", pa.bool_(), "whether it links them"),
            _required("shadow", pa.string(), "the classifier beside it, which says the opposite"),
            _required("shadow_score", pa.float32(), "its log-odds"),
            _required("batch_seq", pa.int64(), "number of the micro-batch"),
        ]
    ),
)

LOSSES = TableSpec(
    "losses",
    "a range of offsets that Kafka no longer had when their turn came, and that somebody accepted",
    pa.schema(
        [
            *_POSITION[:2],
            _required("first_offset", pa.int64(), "the first that was due and not there"),
            _required("end_offset", pa.int64(), "one past the last; the stream went on with it"),
            _required("batch_seq", pa.int64(), "the micro-batch that came next"),
            _required("written_at", MICROSECONDS, "when the row was written"),
        ]
    ),
)

PLANS = TableSpec(
    "plans",
    "what a match of terms is from then on: the row with the highest sequence counts",
    pa.schema(
        [
            _required("sequence", pa.int64(), "number of this row, from 0"),
            _required("plan", pa.string(), "the term plan as JSON: bands, term_bits, flips, ..."),
            _required("version", pa.string(), "of the plan: the end of the ids of its segments"),
            _required("reason", pa.string(), "default, or what the planner weighed"),
            _required("written_at", MICROSECONDS, "when the row was written"),
        ]
    ),
)

_ALL = (
    PINS,
    SEGMENTS,
    CLUSTERS,
    GENERATIONS,
    CLUSTER_HISTORY,
    OVERRIDES,
    QUARANTINE,
    PLANS,
    MODELS,
    DISAGREEMENTS,
    LOSSES,
)
TABLES = {spec.name: spec for spec in _ALL}
