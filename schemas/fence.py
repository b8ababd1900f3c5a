"""A writer that was replaced while it slept can no longer commit.

The lease of a lake is a lock of the operating system: it holds while its file is there, on one
host. The fence holds whatever became of the lock. Each writer takes the next number and writes it
into the log of every table it appends to, as a transaction of Delta (protocol, "Transaction
Identifiers"). Every later append carries the number, and Delta refuses one if a newer number was
committed since the writer last looked; here it is refused if it was committed before that.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError

from neardup.schemas.errors import StreamError

APPLICATION = "neardup.writer"


class Fence:
    """The right to append to some of a lake's tables until another process takes it over."""

    def __init__(
        self,
        tables: Mapping[str, DeltaTable],
        names: Collection[str],
        hooks: PostCommitHookProperties,
    ) -> None:
        """Take it over. Raises StreamError if somebody else does at this moment.

        ``tables``: the lake's handles, in whose place newer ones may come.
        """
        self._tables = tables
        fenced = {name: tables[name] for name in names}
        for table in fenced.values():
            table.update_incremental()
        self.number = 1 + max(map(_number, fenced.values()))
        self._passed = {name: table.version() for name, table in fenced.items()}
        for name, table in fenced.items():
            self._begin(name, table, hooks)

    def _begin(self, name: str, table: DeltaTable, hooks: PostCommitHookProperties) -> None:
        """Write the number into the log of a table, in a commit of its own."""
        try:
            table.create_write_transaction(
                [],
                "append",
                table.schema(),
                commit_properties=self._properties(),
                post_commithook_properties=hooks,
            )
        except CommitFailedError as error:
            raise _replaced() from error
        table.update_incremental()
        self._require(table)
        self._passed[name] = table.version()

    @contextmanager
    def passing(self, name: str) -> Iterator[CommitProperties | None]:
        """Around an append to a table: what it must carry; None if the table is not fenced.

        Raises StreamError if this writer was replaced: nothing was appended then.
        """
        if name not in self._passed:
            yield None
            return
        table = self._tables[name]
        if table.version() != self._passed[name]:  # asking takes 1 ms for 50 commits
            self._require(table)
        try:
            yield self._properties()
        except CommitFailedError:
            table.update_incremental()
            self._require(table)
            raise
        self._passed[name] = table.version()

    def _require(self, table: DeltaTable) -> None:
        if _number(table) != self.number:
            raise _replaced()

    def _properties(self) -> CommitProperties:
        return CommitProperties(app_transactions=[Transaction(APPLICATION, self.number)])


def _number(table: DeltaTable) -> int:
    return table.transaction_version(APPLICATION) or 0


def _replaced() -> StreamError:
    return StreamError(
        "Another process took over as the writer of this lake: this one ends, and what it had not "
        "committed is done by the other. Was a `.stream.lock` removed, or is the lake's folder "
        "shared between hosts? Run one `neardup stream` or `neardup backfill` at a time."
    )
