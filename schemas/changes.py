"""The contract of the topic of cluster changes, version 1: what downstream consumers read.

Key: the pin's id in UTF-8. Value: a JSON object (``ClusterChange``), where the pin stands now.
``docs/changes.md`` says how a consumer folds them; ``schemas/cluster-change.v1.json`` is the JSON
Schema made from the type below.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

VERSION = 1

KINDS = {
    "joined": "the pin was in no cluster: it is new, or came again",
    "moved": "the pin was in another cluster, which others still belong to or which was divided",
    "merged": "the pin was in another cluster, all of which is in this one now",
    "left": "the pin is in no cluster: it was deleted",
    "head_changed": "the pin stays in its cluster and is its head from now on",
}
"""The fixed vocabulary of ``change``, with what each word means."""

Kind = Literal["joined", "moved", "merged", "left", "head_changed"]


class ClusterChange(msgspec.Struct, frozen=True):
    """A pin whose membership changed, and how it stands since.

    Of one pin and of one cluster's head the change with the greatest ``sequence`` counts.
    """

    pin_id: str
    change: Kind
    cluster_id: Annotated[int | None, Meta(description="Null if the pin left.")]
    head: Annotated[str | None, Meta(description="Pin id of the cluster's head; null if it left.")]
    previous: Annotated[
        int | None, Meta(description="The cluster it was in before; null if none, or not known.")
    ]
    sequence: Annotated[
        tuple[int, int, int],
        Meta(description="Publication, batch, number in it: compared from the left."),
    ]
    generation: Annotated[int, Meta(description="The generation that readers see.")]


_encoder = msgspec.json.Encoder()


def encode_change(change: ClusterChange) -> bytes:
    """The JSON value for Kafka."""
    return _encoder.encode(change)


def json_schema() -> bytes:
    """The JSON Schema of a change's value."""
    schema = msgspec.json.schema(ClusterChange)
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"
