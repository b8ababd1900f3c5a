"""Why a person's word is refused: what stands proves its opposite.

Together is transitive: A = B and B = C say A = C. So a statement is refused if a chain of those
that stand proves its opposite, and the refusal shows the chain. Pins are named by whatever
identifies them to people: their ids.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from neardup.clusters.overrides import Row, said_by


class Statement(NamedTuple):
    """Two pins are together, or apart. ``said``: by whom and why, for people."""

    left: str
    right: str
    together: bool
    said: str = ""

    def __str__(self) -> str:
        statement = f"{self.left} {'=' if self.together else '!='} {self.right}"
        return f"{statement} ({self.said})" if self.said else statement


def refusal(stands: Iterable[Row], new: Row) -> list[str] | None:
    """What proves that a row of ``overrides`` cannot stand beside those that do; None if it can."""
    stands = list(stands)
    statements = [statement for row in stands for statement in _statements(row)]
    for statement in _statements(new):
        proof = contradiction(statements, statement)
        if proof is not None:
            return [str(part) for part in proof]
        statements.append(statement)
    return _blocked(stands, new)


def _blocked(stands: list[Row], new: Row) -> list[str] | None:
    """A blocked pin is alone: nobody is together with it."""
    blocks = [row for row in [*stands, new] if row["kind"] == "block"]
    for joined in [*stands, new]:
        for block in blocks if joined["kind"] in ("link", "move") else ():
            if new in (joined, block) and block["pin_id"] in (joined["pin_id"], joined["other"]):
                return [str(_statements(joined)[0]), f"{block['pin_id']} is alone ({_said(block)})"]
    return None


def _statements(row: Row) -> list[Statement]:
    known, by = said_by([row]), _said(row)
    joins = [Statement(*pair, together=True, said=by) for pair in known.together]
    return joins + [Statement(*pair, together=False, said=by) for pair in known.apart]


def _said(row: Row) -> str:
    return f'#{row["sequence"]}, {row["who"]}: "{row["why"]}"'


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
