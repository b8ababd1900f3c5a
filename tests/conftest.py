"""What tests of several folders share."""

import os
from pathlib import Path

import pytest

from tests.infra_fixtures import broker  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with `labelled/` and `photos/`; the test is skipped where it is not.

    The labelled pictures may not be redistributed, so a clone does not hold them.
    """
    folder = Path(os.environ.get("NEARDUP_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "labelled" / "groups.csv").is_file():
        pytest.skip(f"needs the labelled pictures, none in {folder}: set NEARDUP_DATA to them")
    return folder
