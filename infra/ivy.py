"""Resolves Maven coordinates with the Ivy that the pyspark wheel carries: no Maven needed."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from neardup.infra.java import find_java, pyspark_jars
from neardup.schemas.errors import EnvironmentProblem

TIMEOUT_SECONDS = 900
# Bundles are jars too: without them scala-logging is missing from Kafka's class path.
TYPES = ["jar", "bundle"]


class _Unresolved(Exception):
    """Ivy came to no result; the text is what it complained of. Worth another try."""


def retrieve(
    coordinates: Sequence[str], folder: Path, workspace: Path, *, beside_spark: bool
) -> None:
    """Put the jars of ``coordinates`` (``group:artifact:version``) and their needs in a folder.

    folder: made here; files are ``artifact-version.jar``.
    workspace: keeps what was fetched between tries and the log of the last one.
    Raises EnvironmentProblem after three vain tries.
    """
    cache, log = workspace / ".ivy", workspace / "ivy.log"
    module = workspace / "ivy.xml"
    shipped = sorted(shipped_artifacts(pyspark_jars())) if beside_spark else []
    module.write_text(module_descriptor(coordinates, shipped), "utf-8")
    command = _command(module, cache, folder)
    try:
        _run(command, log)
    except _Unresolved as problem:
        raise EnvironmentProblem(
            f"The jars of {', '.join(coordinates)} could not be fetched ({problem}; the whole "
            f"story is in {log}). Check the network and run 'neardup jars' again. Behind a proxy "
            "set JAVA_TOOL_OPTIONS='-Dhttps.proxyHost=HOST -Dhttps.proxyPort=PORT'; to use a "
            "mirror set NEARDUP_IVY_SETTINGS to an ivysettings.xml; or copy the cache folder of "
            "a machine that has the jars and set NEARDUP_JARS to it."
        ) from None
    shutil.rmtree(cache, ignore_errors=True)
    module.unlink()
    log.unlink()


def shipped_artifacts(folder: Path) -> set[str]:
    """Artifact names of the jars in a folder: "scala-library" for ``scala-library-2.13.18.jar``."""
    names = (re.match(r"(.+?)-\d[\w.+-]*\.jar$", path.name) for path in folder.glob("*.jar"))
    return {name[1] for name in names if name}


def module_descriptor(coordinates: Iterable[str], excluded: Iterable[str]) -> str:
    """An ivy.xml that asks for ``coordinates`` without any artifact named in ``excluded``."""
    needs = []
    for group, artifact, version in (coordinate.split(":") for coordinate in coordinates):
        needs.append(
            f"<dependency org={quoteattr(group)} name={quoteattr(artifact)} "
            f'rev={quoteattr(version)} conf="default->master,runtime"/>'
        )
    needs += [f'<exclude org="*" module={quoteattr(artifact)}/>' for artifact in excluded]
    return (
        '<ivy-module version="2.0"><info organisation="neardup" module="jars"/>'
        '<configurations><conf name="default"/></configurations>'
        f"<dependencies>{''.join(needs)}</dependencies></ivy-module>\n"
    )


def _command(module: Path, cache: Path, folder: Path) -> list[str]:
    engines = sorted(pyspark_jars().glob("ivy-*.jar"))
    if not engines:
        raise EnvironmentProblem(
            f"There is no ivy-*.jar in {pyspark_jars()}: the pyspark wheel is damaged or of an "
            "unknown make; run 'pip install --force-reinstall pyspark==4.2.0'."
        )
    pattern = folder / "[artifact]-[revision](-[classifier]).[ext]"
    command = [str(find_java().executable), "-jar", str(engines[-1])]
    command += ["-ivy", str(module), "-cache", str(cache), "-confs", "default"]
    command += ["-retrieve", str(pattern), "-types", *TYPES]
    settings = os.environ.get("NEARDUP_IVY_SETTINGS")
    return [*command, "-settings", settings] if settings else command


@retry(
    retry=retry_if_exception_type(_Unresolved),
    stop=stop_after_attempt(3),
    wait=wait_exponential(multiplier=1),
    reraise=True,
)
def _run(command: list[str], log: Path) -> None:
    with log.open("w", encoding="utf-8") as out:
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_SECONDS,
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
    complaints = _complaints(log.read_text("utf-8", errors="replace"))
    if code != 0 or complaints:
        raise _Unresolved("; ".join(complaints[:3]) or f"Ivy's exit code is {code}")


def _complaints(story: str) -> list[str]:
    """The lines in which Ivy says what it could not get."""
    lines = (line.strip(" :\t") for line in story.splitlines())
    wanted = ("unresolved dependency", "FAILED", "UnknownHost", "Server access error", "ERROR")
    return list(dict.fromkeys(line for line in lines if any(word in line for word in wanted)))
