"""The house itself: links, commands, and what the README tells people to type."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

import neardup
from neardup.cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "neardup"
FOLDERS = [
    "answers",
    "batch",
    "benchmarks",
    "clusters",
    "index",
    "infra",
    "models",
    "schemas",
    "streaming",
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_at_the_root_is_linked(folder: str) -> None:
    link = PACKAGE / folder
    assert link.is_symlink(), f"{link} is no link: check out with core.symlinks=true"
    assert link.resolve() == ROOT / folder
    module = import_module(f"neardup.{folder}")
    assert Path(str(module.__file__)).resolve().parent == ROOT / folder


def test_no_folder_is_left_out() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(FOLDERS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    shown = CliRunner().invoke(cli, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert "Usage:" in shown.output


def test_the_readme_names_commands_and_pages_that_exist() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for name in re.findall(r"^(?:\.venv/bin/)?neardup (\w+)", text, re.MULTILINE):
        assert name in COMMANDS
    targets = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", targets, re.MULTILINE), target
    for page in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / page).exists(), page


def test_the_changelog_has_this_version() -> None:
    assert f"## {neardup.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
