"""A segment built from the log alone: for what was lost, and for what must be forgotten."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.dataset as ds

from neardup.index.exemplars import Exemplars, logged
from neardup.index.ids import id_hashes
from neardup.index.policy import Span, flush_ranges
from neardup.index.segment import SegmentBlocks, build_segment
from neardup.index.store import stacked
from neardup.index.terms import TermPlan
from neardup.schemas.lake import Lake

EXEMPLAR_COLUMNS = ["kind", "ordinal", "exemplar", "previous"]


def exemplars_of(log: pa.Table) -> Exemplars:
    """Who is indexed and who is live after these rows (EXEMPLAR_COLUMNS, in the log's order)."""
    exemplars = Exemplars()
    exemplars.replay(*logged(log))
    return exemplars


def segment_of(
    lake: Lake, exemplars: Exemplars, span: Span, plan: TermPlan, revision: int = 0
) -> SegmentBlocks:
    """The segment of a range of ordinals, of what is indexed and live in it now."""
    known, indexed = exemplars.live(*span), exemplars.indexed(*span)
    rows = lake.read(
        "pins",
        ["ordinal", "pin_id", "signature"],
        (ds.field("ordinal") >= span[0]) & (ds.field("ordinal") < span[1]),
    ).sort_by("ordinal")
    hashes = id_hashes(rows["pin_id"].take(pa.array(known - span[0])).to_pylist())
    signatures = stacked(rows["signature"].take(pa.array(indexed - span[0])).to_pylist())
    return build_segment(span, indexed, signatures, hashes, known, plan, revision)


def spans_between(kept: Iterable[Span], pins: int, flush_pins: int) -> list[Span]:
    """The ranges to build beside ``kept`` (ascending), so that all follow one another from 0 on.

    They end at multiples of ``flush_pins``, as those that a stream flushes, and where a kept one
    begins. Behind the last one whole ranges alone: the rest of ``pins`` is the memtable's.
    """
    spans: list[Span] = []
    end = 0
    for first, last in kept:
        whole = flush_ranges(end, first - end, flush_pins)
        spans += whole
        end = whole[-1][1] if whole else end
        if end < first:
            spans.append((end, first))
        end = last
    return spans + flush_ranges(end, max(pins - end, 0), flush_pins)
