"""A choice of plans as text: what was measured, what was weighed, why the chosen one won."""

from collections.abc import Sequence

from neardup.index.costs import Costs
from neardup.index.density import LINK_PERCENTILES, RANDOM_PERCENTILES, SKEW_TERM_BITS, Density
from neardup.index.lake_plan import Planned
from neardup.index.planner import Choice
from neardup.index.store import SIGNATURE_BYTES
from neardup.index.weighing import Wanted, Weighed

_HEADER = (
    f"{'bands':>5} {'bits':>4} {'flips':>5} {'tail':>4} {'least':>5}  {'recall':>6} {'lists':>6} "
    f"{'entries':>9} {'counted':>8} {'compared':>8} {'scored':>6} {'us':>8} {'bytes':>6}"
)


def report(planned: Planned) -> str:
    """All of it: the sample, the costs, the tables, the reason."""
    choice = planned.choice
    parts = [density(planned.density)]
    if planned.typical_links:
        parts[0] += "\nlinks: typical ones of the bundled hasher; the lake has too few of its own"
    parts += [
        costs(planned.costs),
        f"the best of {choice.plans:,} plans at {planned.wanted.pins:,} pins, for each number of "
        f"bands and flips\n{table(choice.best)}",
        f"the chosen plan with one number changed\n{table(choice.neighbours)}",
        f"the chosen plan and the present one\n{table([choice.chosen, planned.present])}",
        why(choice, planned.wanted),
    ]
    return "\n\n".join(parts)


def verdict(planned: Planned) -> str:
    """One line for a log: the lake's plan, and the best one where that is worth a change."""
    present, best = planned.present, planned.choice.chosen
    text = f"term plan at {planned.wanted.pins:,} pins: the lake's {_found(present)}"
    if not worth_a_change(planned):
        return f"{text}; no other is a tenth faster"
    return f"{text}; the best one {_found(best)} (`neardup plan` shows it)"


def worth_a_change(planned: Planned) -> bool:
    """Whether the lake's plan does not do what is wanted, or the best one is a tenth faster.

    Less is noise of the sample and of the prices, and all segments are built again for it.
    """
    present, best, wanted = planned.present, planned.choice.chosen, planned.wanted
    enough = present.recall >= wanted.recall and present.bytes_per_pin <= wanted.bytes_per_pin
    return not enough or best.seconds < 0.9 * present.seconds


def _found(row: Weighed) -> str:
    return f"finds {row.recall:.4f} of the links, {row.seconds * 1e6:,.0f} us a query"


def table(rows: list[Weighed]) -> str:
    """A plan a line: what it is, what a query finds and does, microseconds, bytes a pin."""
    return "\n".join([_HEADER, *(_line(row) for row in rows)])


def _line(row: Weighed) -> str:
    plan = row.plan
    return (
        f"{plan.bands:>5} {plan.term_bits:>4} {plan.flips:>5} {plan.tail_flips:>4} "
        f"{plan.min_overlap:>5}  {row.recall:>6.4f} {row.probes:>6,.0f} {row.entries:>9,.0f} "
        f"{row.counted:>8,.0f} {row.compared:>8,.0f} {row.scored:>6.1f} "
        f"{row.seconds * 1e6:>8,.1f} {row.bytes_per_pin:>6,.0f}  {row.verdict}"
    )


def density(found: Density) -> str:
    """What the sample says of the space."""
    return "\n".join(
        [
            f"sample: {found.signatures:,} pins, {found.pairs:,} unrelated pairs of them, "
            f"{found.n_links:,} links",
            f"bits: mean imbalance {found.imbalance:.3f}, root mean square correlation "
            f"{found.correlation:.3f}; unrelated pins share a term of {SKEW_TERM_BITS} bits "
            f"{found.skew:.2f} times as often as with ideal bits",
            f"share of bits that differ in unrelated pairs: "
            f"{_percentiles(found.random, RANDOM_PERCENTILES)}",
            f"... in links: {_percentiles(found.links, LINK_PERCENTILES)}",
            f"unrelated pairs within the radius: {found.within:.1e} of all",
        ]
    )


def _percentiles(bits: Sequence[float], at: Sequence[float]) -> str:
    shares = [value / (8 * SIGNATURE_BYTES) for value in bits]
    return ", ".join(f"{share:.3f} ({p:g} %)" for share, p in zip(shares, at, strict=True))


def costs(found: Costs) -> str:
    """What the machine takes for each step."""
    own, flipped = found.probe
    lines = [f"{'nanoseconds':<32}small to large"]
    for name, price in (
        ("a list looked up", own),
        ("... one bit away", flipped),
        ("an entry read", found.entry),
        ("a pin counted", found.count),
        ("a distance taken", found.distance),
    ):
        sizes = zip(price.seconds, price.bytes, strict=True)
        shown = ", ".join(f"{s * 1e9:.1f} in {size / 2**20:.3g} MiB" for s, size in sizes)
        lines.append(f"  {name:<30}{shown}")
    lines.append(f"  {'a band of a query':<30}{found.word * 1e9:.1f}")
    lines.append(f"  {'a pair scored':<30}{found.score * 1e9:,.0f}")
    return "\n".join(lines)


def why(choice: Choice, wanted: Wanted) -> str:
    """Why the chosen plan won, and why faster ones did not."""
    row, plan = choice.chosen, choice.chosen.plan
    text = (
        f"Chosen: {plan.bands} bands of {plan.term_bits} bits, the fastest plan that finds "
        f"{wanted.recall:g} of the links in at most {wanted.bytes_per_pin:,.0f} bytes a pin: "
        f"{row.seconds * 1e6:,.1f} us a query."
    )
    faster = [other for other in choice.best if other.seconds < row.seconds]
    if faster:
        named = ", ".join(f"{_short(other)} ({other.verdict})" for other in faster[:3])
        text += f"\nFaster, but no: {named}."
    return text


def _short(row: Weighed) -> str:
    return f"{row.plan.bands} bands of {row.plan.term_bits} bits in {row.seconds * 1e6:,.1f} us"
