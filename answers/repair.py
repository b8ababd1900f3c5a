"""`neardup repair`: what can be made again from the log is made again.

It begins with the files (``schemas.damage``): a damaged table is written anew from what can be
read, and the damaged one is set aside. Then the checks of ``answers.verify`` say what is missing or
wrong, and each part is made again from `pins`. In the end they are asked once more.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from neardup.answers import remake
from neardup.answers.refold import Evidences, refold
from neardup.answers.salvage import finish, new_aside, salvage
from neardup.answers.verify import Report, verify
from neardup.schemas.damage import Damage, LostFile, table_damage
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import FROM_THE_START, Lake, lease
from neardup.schemas.tables import TABLES

Say = Callable[[str], None]

LEASES = ("stream", "compact", "override")
FACTS = ("pins", "overrides")
RECORDS = ("quarantine", "losses", "disagreements")
"""Nothing is made from these; what is lost of them is lost, and the rest can go on without it."""
LAST = ("clusters", "cluster_history")
"""What is kept of these depends on `generations`, and on one another."""
REMADE = (("models", remake.models), ("plans", remake.plans), ("segments", remake.segments))
"""Made again whenever they were damaged: what they lack may break no rule."""
_FOLDS_ANEW = "rows that a compaction wrote are lost, the log is folded again"
ROUNDS = 4
"""Some checks can be asked only when others are satisfied."""


@dataclass(frozen=True)
class Part:
    """What is made again when one of these checks fails, and how that is said."""

    checks: frozenset[str]
    does: str
    make: Callable[[remake.Work], None]


PARTS = (
    Part(
        frozenset({"ahead"}),
        "what follows from batches that `pins` has lost is taken back",
        remake.take_back,
    ),
    Part(frozenset({"plans"}), "the term plan is taken from the segments", remake.plans),
    Part(
        frozenset({"generations"}),
        "the rows of `generations` are put in order",
        remake.generations,
    ),
    Part(
        frozenset({"memberships", "heads", "cluster-ids"}),
        "the log is folded again, into `clusters`",
        remake.clusters,
    ),
    Part(
        frozenset({"segment-spans", "segment-blocks", "segments"}),
        "segments that are not whole are built again from the log",
        remake.segments,
    ),
)


@dataclass(frozen=True)
class Repair:
    """The repair of the lake at ``path``. ``evidences``: asked when the log must be folded."""

    path: Path
    evidences: Callable[[Lake], Evidences]
    flush_pins: int
    say: Say

    def look(self) -> bool:
        """Say what is wrong and what would be done, and do nothing; whether all is well."""
        found = damages(self.path)
        for one in found:
            self.say(f"damaged  {one.table}\n{one}\n     -> {_remedy(one)}")
        if any(one.log for one in found):
            self.say("What else is wrong can be said when the damaged logs are made again.")
            return False
        report = verify(self.path)
        for part in _failing(report):
            self.say(f"wrong    {', '.join(sorted(part.checks & _broken(report)))}: {part.does}")
        stale = remake.is_stale(self.path)
        if stale:
            self.say(f"wrong    a repair was cut off: {_FOLDS_ANEW}")
        return not found and not stale and report.ok

    def run(self, accept_loss: bool = False) -> Report:
        """Make again what can be; what the checks say afterwards.

        ``accept_loss``: go on without lost rows of RECORDS. Raises LakeError, and changes nothing,
        if facts are lost; StreamError if anybody writes to the lake.
        """
        with ExitStack() as held:
            for name in LEASES:
                held.enter_context(lease(self.path, name))
            unfinished = finish(self.path)
            found = damages(self.path)
            _refuse(found, accept_loss)
            aside = new_aside(self.path)
            self._write_anew(found, aside)
            work = remake.Work(Lake.create(self.path), aside, self.evidences, self.flush_pins)
            return self._make_again(work, unfinished | {one.table for one in found if one.files})

    def _write_anew(self, found: list[Damage], aside: Path) -> None:
        for one in sorted(
            found, key=lambda one: LAST.index(one.table) if one.table in LAST else -1
        ):
            where = "true"
            if one.table == "clusters":
                remake.note_stale(self.path, one)
                where = remake.kept_memberships(self.path, one)
            if one.table == "cluster_history":
                remake.forget_folded(self.path)
                where = remake.kept_history(self.path)
            salvage(self.path, one, aside, where)
            self.say(f"{one.table}: what can be read is a new table; the damaged one: {aside}")

    def _make_again(self, work: remake.Work, damaged: set[str]) -> Report:
        for name, make in REMADE:
            if name in damaged:
                make(work)
        for _ in range(ROUNDS):
            report = verify(self.path)
            parts = _failing(report)
            if not parts:
                break
            for part in parts:
                self.say(f"{', '.join(sorted(part.checks & _broken(report)))}: {part.does}")
                part.make(work)
        if "generations" not in _broken(report):
            if remake.is_stale(self.path):
                self.say(_FOLDS_ANEW)
                remake.clusters(work)
            remake.remove_lost(work.lake)
        if not {"generations", "memberships"} & _broken(report):
            folded = refold(work.lake, self.evidences(work.lake)) if _is_begun(work.lake) else 0
            if folded:
                self.say(f"{folded:,} batches are folded into `clusters`")
        return verify(self.path)


def damages(path: Path) -> list[Damage]:
    """What is wrong with the files of a lake, every byte read. Raises LakeError if there is none.

    A table that is not there is damage, if the lake has others.
    """
    there = [name for name in TABLES if (path / name).exists()]
    if not there:
        raise LakeError(f"There is no lake in {path}: is lake.path right?")
    found = [
        Damage(name, f"{path / name}: it is missing", (LostFile(path / name, "it is missing"),))
        if name not in there
        else table_damage(path, name, deep=True)
        for name in TABLES
        if name in there or name in FROM_THE_START
    ]
    return [one for one in found if one is not None]


def _refuse(found: list[Damage], accept_loss: bool) -> None:
    lost = [one for one in found if one.files]
    facts = [one for one in lost if one.table in FACTS]
    records = [] if accept_loss else [one for one in lost if one.table in RECORDS]
    if facts or records:
        said = "\n".join(f"{one}\n     -> {_remedy(one)}" for one in facts + records)
        raise LakeError(
            f"Rows are lost that nothing can be made from. Nothing was changed.\n{said}"
        )


def _remedy(found: Damage) -> str:
    name = found.table
    if not found.files:
        return f"its log is made again from its data files, which are whole; {name} loses nothing"
    if name in FACTS:
        return (
            f"`{name}` is not made from anything: put these files back from a backup. Without one, "
            "if Kafka still has all events, give lake.path a new folder and start the stream: it "
            "reads the topic from its beginning. Keep this lake until then."
        )
    if name in RECORDS:
        return (
            "put these files back from a backup, or go on without their rows: `neardup repair "
            "--accept-loss` (nothing else is made from them)"
        )
    return "what can be read is kept, the rest is made again from `pins`; the files are set aside"


def _failing(report: Report) -> list[Part]:
    broken = _broken(report)
    return [part for part in PARTS if part.checks & broken]


def _broken(report: Report) -> set[str]:
    return {outcome.check for outcome in report.outcomes if outcome.wrong}


def _is_begun(lake: Lake) -> bool:
    return lake.publication() is not None
