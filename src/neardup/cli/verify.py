"""`neardup verify`"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neardup.cli.common import config_option, printable

if TYPE_CHECKING:
    from neardup.answers.verify import Outcome


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object of all that was found.")
@click.option(
    "--memory",
    default="1GB",
    show_default=True,
    help="What the SQL may take; it goes to disk beyond that.",
)
def command(config: Path | None, as_json: bool, memory: str) -> None:
    """Check that the tables are as they must always be; exit code 1 if something is not.

    Nothing is written, and a stream may run meanwhile.
    """
    import json
    from dataclasses import asdict

    from neardup.answers.verify import verify
    from neardup.schemas.settings import load_settings

    report = verify(load_settings(config).lake.path, memory)
    if as_json:
        click.echo(json.dumps({"ok": report.ok, **asdict(report)}, default=str))
    else:
        for outcome in report.outcomes:
            click.echo(_lines(outcome))
        for note in report.notes:
            click.echo(f"note  {note}")
    if not report.ok:
        sys.exit(1)


def _lines(outcome: "Outcome") -> str:
    if outcome.skipped is not None:
        return f"skip  {outcome.check:<22} {outcome.skipped}"
    if outcome.ok:
        return f"ok    {outcome.check:<22} {outcome.rule}"
    rows = "1 is" if outcome.wrong == 1 else f"{outcome.wrong:,} are"
    lines = [f"FAIL  {outcome.check:<22} {outcome.rule}; {rows} not as that says:"]
    for example in outcome.examples:
        said = ", ".join(f"{key} {value}" for key, value in example.items())
        lines.append(f"        {printable(said)}")
    if outcome.wrong > len(outcome.examples):
        lines.append(f"        and {outcome.wrong - len(outcome.examples):,} more")
    return "\n".join([*lines, f"     -> {outcome.mend}"])
