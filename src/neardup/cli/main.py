"""`neardup`: one command per verb. Modules are imported when their command is, not before."""

import atexit
import importlib
import os
import sys
import tempfile
from pathlib import Path

import click

COMMANDS = {
    "stream": "Consume pin events from Kafka, forever or --once.",
    "backfill": "Bring a whole corpus into the lake, as if streamed.",
    "compact": "Re-run the k-cut and publish a new generation.",
    "override": "Say what you know about pins: link, unlink, move, block, forget.",
    "purge": "Erase deleted pins from every file, for good.",
    "rollback": "Make an older generation the current one.",
    "produce": "Send a folder of pictures, or JSON lines, to Kafka.",
    "lookup": "Was this picture used before? Similar pins with scores.",
    "show": "The pins of a cluster, in pages.",
    "history": "What became of a cluster?",
    "explain": "Why are two pins linked, or why not?",
    "query": "Run SQL over the tables.",
    "plan": "Choose the index's bands, bits and probes: what they find and cost.",
    "status": "How the lake stands, and how far the stream is behind.",
    "verify": "Check that the tables are as they must always be.",
    "repair": "Make damaged tables again from the log.",
    "rebuild": "Put a lake of another hasher in the place of this one.",
    "migrate": "Bring a lake of an older format to this one.",
    "quarantine": "Rejected events: list, show, send again after a fix.",
    "report": "Write an HTML page of the clusters, with thumbnails.",
    "evaluate": "Measure precision and recall on a folder with known truth.",
    "models": "Which classifier decides, and which scores beside it.",
    "train": "Learn a hasher and a classifier from a folder of pictures.",
    "mine": "Label pairs among photos that nobody paired, for train --verdicts.",
    "demo": "Real pictures through the whole system.",
    "bench": "Measure, with a peer in the same run.",
    "doctor": "Check the machine and say how to mend it.",
    "broker": "Run a Kafka broker on loopback.",
    "jars": "Fetch the jars that Spark and Kafka need.",
}


AT_ONCE = {"lookup", "show", "explain", "history"}
"""What answers within a second: without packages that pyarrow, DuckDB and numba import wherever
they find them, for .4 s, and that nothing here needs."""


class LeftOut:
    """For ``sys.meta_path``: these packages are not installed, as far as this process knows."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name in ("pandas", "scipy", "cffi"):
            raise ModuleNotFoundError(f"{name} is left out of this command", name=name)


class LazyGroup(click.Group):
    """Lists commands from the table above and imports only the one that is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"neardup.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup)
@click.version_option(package_name="neardup")
def cli() -> None:
    """Find near-duplicate images in a stream, and keep the clusters, for good."""


def main() -> None:
    """The console script. Errors of our own are sentences, without a traceback.

    It ends without the destructors of native libraries: threads that some of them still run at that
    moment make the C++ runtime abort a command that has done its work (seen: exit code 134).
    """
    if AT_ONCE.intersection(sys.argv[1:2]):
        sys.meta_path.insert(0, LeftOut)
    code = _run()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run() -> int:
    """The exit code."""
    try:
        cli(prog_name="neardup")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        # Imported late: --help must not wait for it.
        from neardup.schemas.errors import NeardupError

        said = str(error) if isinstance(error, NeardupError) else _of_storage(error)
        if said is None:
            raise
        click.echo(f"neardup: {said}", err=True)
        return 1
    return 0


def _of_storage(error: Exception) -> str | None:
    """What to say if a file could not be written because of its disk."""
    if not isinstance(error, OSError):
        return None
    from neardup.schemas.damage import storage

    return storage(error, Path(os.fsdecode(error.filename or tempfile.gettempdir())))


if __name__ == "__main__":
    main()
