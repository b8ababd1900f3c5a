"""What the executors do in a compaction: forests of links, and the cut of a component."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neardup.clusters.components import forest
from neardup.clusters.evidence import Evidence, Ordinals, Signatures
from neardup.clusters.fold import Fold, Link
from neardup.clusters.kcut import cut, medoid
from neardup.index.store import stacked

EDGES = pa.schema([("newer", pa.int64()), ("older", pa.int64())])
MEMBERS = pa.schema(
    [
        ("component", pa.int64()),
        ("ordinal", pa.int64()),
        ("signature", pa.binary()),
        ("older", pa.list_(pa.int64())),
        ("scores", pa.list_(pa.float32())),
    ]
)
PARTS = pa.schema([("ordinal", pa.int64()), ("part", pa.int64()), ("head", pa.int64())])


def forest_batches(live: Any, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For ``mapInArrow``: the forest of a partition's edges between live pins.

    ``live``: broadcast int64 ordinals, ascending.
    """
    edges = pa.Table.from_batches(list(batches), schema=EDGES)
    newer, older = (edges.column(name).to_numpy() for name in EDGES.names)
    both = np.isin(newer, live.value) & np.isin(older, live.value)
    newer, older = forest(newer[both], older[both])
    yield pa.RecordBatch.from_arrays([pa.array(newer), pa.array(older)], schema=EDGES)


def in_components(labels: Any, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For ``mapInArrow``: pins (ordinal, signature, links) of components of several, as MEMBERS.

    ``labels``: broadcast (ordinals int64 [n] ascending, their components int64 [n]).
    """
    ordinals, components = labels.value
    for batch in batches:
        own = batch.column("ordinal").to_numpy()
        where = np.searchsorted(ordinals, own).clip(max=len(ordinals) - 1)
        kept = np.flatnonzero(ordinals[where] == own)
        pins = batch.take(pa.array(kept))
        links = pins.column("links")
        rows = [
            pa.array(components[where[kept]]),
            pins.column("ordinal"),
            pins.column("signature"),
            _list_field(links, "ordinal", pa.int64()),
            _list_field(links, "score", pa.float32()),
        ]
        yield pa.RecordBatch.from_arrays(rows, schema=MEMBERS)


def _list_field(links: pa.Array, name: str, kind: pa.DataType) -> pa.Array:
    lists = [[link[name] for link in pin or ()] for pin in links.to_pylist()]
    return pa.array(lists, pa.list_(kind))


def cut_component(evidence: Evidence, max_cut_pins: int, pins: pa.Table) -> pa.Table:
    """For ``applyInArrow``: the parts of one component, as PARTS; a part is named by its founder.

    A component of more than ``max_cut_pins`` is folded as the stream folds, with bounded work per
    pin; then each of its clusters that is small enough is cut exactly.
    """
    pins = pins.sort_by("ordinal").combine_chunks()
    ordinals = pins.column("ordinal").to_numpy()
    signatures = stacked(pins.column("signature").to_pylist())
    links = _links_inside(pins, ordinals)
    pieces = [np.arange(len(ordinals))]
    if len(ordinals) > max_cut_pins:
        pieces = _fold(evidence, signatures, links)
    rows = [
        (ordinals[member], ordinals[part.min()], ordinals[head])
        for piece in pieces
        for part, head in _cut(evidence, signatures, links, piece, max_cut_pins)
        for member in part
    ]
    columns = np.array(rows, np.int64).T
    return pa.Table.from_arrays([pa.array(column) for column in columns], schema=PARTS)


Links = list[list[Link]]


def _links_inside(pins: pa.Table, ordinals: Ordinals) -> Links:
    """For each pin its links to pins of this component, by position in ``ordinals``."""
    position = {ordinal: i for i, ordinal in enumerate(ordinals.tolist())}
    lists = zip(pins.column("older").to_pylist(), pins.column("scores").to_pylist(), strict=True)
    return [
        [
            Link(position[ordinal], score)
            for ordinal, score in zip(older, scores, strict=True)
            if ordinal in position
        ]
        for older, scores in lists
    ]


def _fold(evidence: Evidence, signatures: Signatures, links: Links) -> list[Ordinals]:
    fold = Fold(evidence, lambda positions: signatures[positions], generation=0)
    for position, own in enumerate(links):
        fold.add(position, own)
    ids = np.array([member.cluster_id for member in fold.memberships(range(len(links)))])
    return [np.flatnonzero(ids == cluster_id) for cluster_id in np.unique(ids)]


def _cut(
    evidence: Evidence, signatures: Signatures, links: Links, piece: Ordinals, max_cut_pins: int
) -> Iterator[tuple[Ordinals, int]]:
    """(members, head) of each part of a piece, as positions."""
    if len(piece) > max_cut_pins:
        yield piece, int(piece.min())
        return
    weights = _weights(evidence, signatures, links, piece)
    labels = cut(weights)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        yield piece[members], int(piece[medoid(weights, members)])


def _weights(
    evidence: Evidence, signatures: Signatures, links: Links, piece: Ordinals
) -> npt.NDArray[np.float64]:
    """Log-odds of all pairs of a piece, float64 [n, n]: links as scored, others by distance."""
    weights = evidence.between(signatures[piece], signatures[piece]).astype(np.float64)
    position = {member: i for i, member in enumerate(piece.tolist())}
    for newer, i in position.items():
        for older, score in links[newer]:
            if older in position:
                weights[i, position[older]] = weights[position[older], i] = score
    return weights
