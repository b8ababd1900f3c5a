"""``neardup doctor``: what the machine lacks, and how to mend it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neardup.cli.common import config_option

if TYPE_CHECKING:
    from neardup.infra.doctor import Check
    from neardup.schemas.settings import Settings


@click.command("doctor")
@config_option
def command(config: Path | None) -> None:
    """Check what neardup runs on; exit code 1 if something needed is amiss."""
    from neardup.infra.doctor import examine, healthy
    from neardup.schemas.settings import load_settings

    settings = load_settings(config)
    kafka = settings.kafka
    checks = examine(
        settings.lake.path, kafka.bootstrap_servers, kafka.topic, [_models_check(settings)]
    )
    for check in checks:
        click.echo(_line(check))
    if not healthy(checks):
        raise SystemExit(1)


def _line(check: "Check") -> str:
    word = "ok" if check.ok else "FAIL" if check.required else "warn"
    line = f"{word:<5}{check.name:<12}{check.found}"
    return line if check.ok else f"{line}\n{'':17}-> {check.mend}"


def _models_check(settings: "Settings") -> "Callable[[], Check]":
    def check() -> "Check":
        from neardup.infra.doctor import Check
        from neardup.schemas.errors import NeardupError

        try:
            from neardup.models.bundle import verify_artifacts
        except ImportError as error:
            return Check("models", False, f"not importable: {error}", "run 'make setup'")
        try:
            return Check("models", True, verify_artifacts(settings.models))
        except NeardupError as problem:
            return Check("models", False, "damaged or missing", str(problem))

    return check
