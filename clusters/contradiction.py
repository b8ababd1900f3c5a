"""What people said about pairs of pins, and why some of it cannot all be true.

Together is transitive: A = B and B = C say A = C. So a statement is refused if a chain of those
that stand proves its opposite, and the refusal shows the chain. Pins are named by whatever
identifies them to people: their ids.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple


class Statement(NamedTuple):
    """Two pins are together, or apart."""

    left: str
    right: str
    together: bool

    def __str__(self) -> str:
        return f"{self.left} {'=' if self.together else '!='} {self.right}"


def contradiction(stands: Iterable[Statement], new: Statement) -> list[Statement] | None:
    """Statements that cannot all be true, ``new`` among them; None if it can stand with the others.

    Those that put pins together, one after the other, and last the one that keeps the ends of that
    chain apart: the shortest such proof. ``stands`` must not contradict each other.
    """
    stands = list(stands)
    joins = [statement for statement in [*stands, new] if statement.together]
    walls = [
        statement for statement in (stands if new.together else [new]) if not statement.together
    ]
    beside = _beside(joins)
    chains = [(_chain(beside, wall.left, wall.right), wall) for wall in walls]
    proofs = [[*chain, wall] for chain, wall in chains if chain is not None]
    return min(proofs, key=len, default=None)


def _beside(joins: list[Statement]) -> dict[str, list[Statement]]:
    """By pin the statements that put it together with another."""
    beside: dict[str, list[Statement]] = {}
    for statement in joins:
        for pin in {statement.left, statement.right}:
            beside.setdefault(pin, []).append(statement)
    return beside


def _chain(beside: dict[str, list[Statement]], begin: str, end: str) -> list[Statement] | None:
    """The shortest chain of pins put together from one to another, breadth first."""
    came: dict[str, tuple[str, Statement] | None] = {begin: None}
    waiting = deque([begin])
    while waiting and end not in came:
        pin = waiting.popleft()
        for statement in beside.get(pin, ()):
            other = statement.right if statement.left == pin else statement.left
            if other not in came:
                came[other] = (pin, statement)
                waiting.append(other)
    if end not in came:
        return None
    chain: list[Statement] = []
    while (step := came[end]) is not None:
        end, statement = step
        chain.append(statement)
    return chain[::-1]
