"""``neardup doctor``: what the machine lacks, and how to mend it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neardup.cli.common import config_option

if TYPE_CHECKING:
    from neardup.infra.doctor import Check
    from neardup.schemas.settings import ModelSettings


@click.command("doctor")
@config_option
def command(config: Path | None) -> None:
    """Check what neardup runs on; exit code 1 if something needed is amiss."""
    from neardup.infra.doctor import examine, healthy
    from neardup.schemas.settings import load_settings

    settings = load_settings(config)
    kafka = settings.kafka
    checks = examine(settings.lake.path, kafka, kafka.topic, _model_checks(settings.models))
    for check in checks:
        click.echo(_line(check))
    if not healthy(checks):
        raise SystemExit(1)


def _line(check: "Check") -> str:
    word = "ok" if check.ok else "FAIL" if check.required else "warn"
    line = f"{word:<5}{check.name:<12} {check.found}"
    return line if check.ok else f"{line}\n{'':18}-> {check.mend}"


def _model_checks(models: "ModelSettings") -> "list[Callable[[], Check]]":
    """Each loads an artifact as the stream would, checksum included."""

    def hasher() -> str:
        from neardup.models.hasher import Hasher

        Hasher.load(models.hasher)
        return str(models.hasher or "bundled")

    def classifier() -> str:
        from neardup.models.classifier import Classifier

        Classifier.load(models.classifier)
        return str(models.classifier or "bundled")

    def embedder() -> str:
        from neardup.models.embed import open_embedder

        open_embedder(models.embedder, weights=models.embedder_weights)
        return models.embedder

    return [partial(_loads, load) for load in (embedder, hasher, classifier)]


def _loads(load: Callable[[], str]) -> "Check":
    from neardup.infra.doctor import Check
    from neardup.schemas.errors import NeardupError

    try:
        return Check(load.__name__, True, load())
    except NeardupError as problem:
        return Check(load.__name__, False, "does not load", str(problem))
    except (ImportError, OSError) as problem:
        return Check(load.__name__, False, str(problem), "run 'make setup' again")
