"""Two live pins side by side: what the tables know of them and of the link between them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neardup.answers.near import near
from neardup.index.store import looks_of, stacked
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake


@dataclass(frozen=True)
class Pin:
    """A live pin: its signature uint8 [128], its looks uint8 [24] (all zero if it has none), its
    cluster, and where its picture may be found."""

    pin_id: str
    ordinal: int
    signature: npt.NDArray[np.uint8]
    looks: npt.NDArray[np.uint8]
    hasher: str
    cluster_id: int
    head: str
    image_uri: str | None
    thumbnail: bytes | None


@dataclass(frozen=True)
class Link:
    """A link as it stands in ``pins``: decided when ``newer`` came, by ``model``, for good."""

    newer: str
    older: str
    overlap: int
    hamming: int
    log_odds: float
    model: str


def live_pin(lake: Lake, pin_id: str) -> Pin:
    """The live version of a pin. Raises LakeError for one that never came or was deleted."""
    with near(lake, "pin_id", [pin_id]) as connection:
        found = connection.execute(
            """SELECT p.pin_id, p.ordinal, p.signature, p.looks, p.hasher, c.cluster_id, c.head,
                      p.image_uri, p.thumbnail
            FROM clusters_current c JOIN pins p ON p.ordinal = c.ordinal AND p.kind = 'add'"""
        )
        rows = found.to_arrow_table().to_pylist()
    if not rows:
        raise LakeError(_why_not_live(lake, pin_id))
    signature = stacked([rows[0].pop("signature")])[0]
    looks = looks_of([rows[0].pop("looks")])[0]
    return Pin(signature=signature, looks=looks, **rows[0])


def link_between(lake: Lake, a: Pin, b: Pin) -> Link | None:
    """The link between two live pins, if the newer one met the older one."""
    older, newer = sorted((a, b), key=lambda pin: pin.ordinal)
    rows = lake.rows(
        """SELECT l.link.overlap AS overlap, l.link.hamming AS hamming,
                  l.link.score AS log_odds, p.model
        FROM pins p, unnest(p.links) AS l(link)
        WHERE p.kind = 'add' AND p.ordinal = $newer AND l.link.ordinal = $older""",
        {"newer": newer.ordinal, "older": older.ordinal},
    )
    return Link(newer.pin_id, older.pin_id, **rows[0]) if rows else None


def _why_not_live(lake: Lake, pin_id: str) -> str:
    last = lake.rows(
        """SELECT kind, batch_seq, event_time FROM pins WHERE pin_id = $pin
        ORDER BY batch_seq DESC, "partition" DESC, "offset" DESC LIMIT 1""",
        {"pin": pin_id},
    )
    if not last:
        return (
            f'No pin {pin_id!r} is in {lake.path}: `neardup query "SELECT pin_id FROM pins"` '
            "lists those that came, the table quarantine those that were refused."
        )
    when = last[0]["event_time"].isoformat(timespec="seconds")
    if last[0]["kind"] == "delete":
        return f"The pin {pin_id!r} was deleted at {when} (batch {last[0]['batch_seq']})."
    return (
        f"The pin {pin_id!r} came at {when} (batch {last[0]['batch_seq']}) but is in no cluster "
        "yet: wait until the stream has finished that batch, or start it."
    )
