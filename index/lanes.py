"""Eight entries of a segment compared at once, for the loop that a search spends its time in.

numba has no vectors and LLVM does not find them in a loop that appends what matches, so the
instructions are written here. LLVM makes of them what a processor has: with AVX-512 about fifteen
for the eight entries, without it a few for each.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from neardup.index.postings import PIN_BITS
from neardup.index.terms import TAIL_BITS

LANES = 8
"""Entries compared at once: a cache line of them."""

_TAIL_MASK = (1 << TAIL_BITS) - 1

_WORDS = ir.VectorType(ir.IntType(64), LANES)
_PINS = ir.VectorType(ir.IntType(32), LANES)
_LANE_NUMBERS = ir.VectorType(ir.IntType(32), LANES)


@intrinsic  # type: ignore[untyped-decorator]
def append_matching(
    _context: Any,
    entries: Any,
    at: Any,
    count: Any,
    pattern: Any,
    tail_flips: Any,
    left: Any,
    out: Any,
    size: Any,
) -> Any:
    """Write the pins of those of ``count`` entries from ``at`` on, LANES at most, that match.

    ``entries`` uint64 and ``out`` uint32, 1-D and contiguous. An entry matches if it differs from
    ``pattern`` in at most ``tail_flips`` bits of its tail and ``left`` of its rest. Returns how
    many do; their pins are in ``out[size:]``. LANES entries are read and LANES pins written,
    whatever matches: the caller answers for the room.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, begin, *limits, target, end = arguments
        here = _pointer(context, builder, signature.args[0], source, begin, _WORDS)
        there = _pointer(context, builder, signature.args[6], target, end, _PINS)
        few, word, tail_limit, rest_limit = (_in_all_lanes(builder, limit) for limit in limits)
        words = builder.load(here, align=8)
        differing = builder.xor(words, word)
        tail = builder.and_(builder.lshr(differing, _each(PIN_BITS)), _each(_TAIL_MASK))
        rest = builder.lshr(differing, _each(PIN_BITS + TAIL_BITS))
        matching = builder.icmp_signed("<", ir.Constant(_WORDS, list(range(LANES))), few)
        for part, limit in ((tail, tail_limit), (rest, rest_limit)):
            bits = _call(builder, "llvm.ctpop.v8i64", _WORDS, part)
            matching = builder.and_(matching, builder.icmp_signed("<=", bits, limit))
        pins = builder.trunc(builder.and_(words, _each((1 << PIN_BITS) - 1)), _PINS)
        anything = ir.Constant(_PINS, ir.Undefined)
        name = "llvm.experimental.vector.compress.v8i32"
        builder.store(_call(builder, name, _PINS, pins, matching, anything), there, align=4)
        mask = builder.bitcast(matching, ir.IntType(LANES))
        return builder.zext(builder.ctpop(mask), ir.IntType(64))

    word = types.int64
    return types.int64(entries, word, word, types.uint64, word, word, out, word), generate


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any, vector: Any) -> Any:
    """To the vector that begins at an index of an array."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _each(number: int) -> Any:
    return ir.Constant(_WORDS, [number] * LANES)


def _in_all_lanes(builder: Any, word: Any) -> Any:
    first = builder.insert_element(_each(0), word, ir.IntType(32)(0))
    return builder.shuffle_vector(first, first, ir.Constant(_LANE_NUMBERS, [0] * LANES))


def _call(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
