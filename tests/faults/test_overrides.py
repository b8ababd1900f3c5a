"""A crash between what people said, the log, and the clusters: their word holds, once."""

from pathlib import Path

import pytest

from tests.faults.report import compare
from tests.faults.system import System, partition
from tests.faults.test_crash_points import crash

PLACES = ["pins.before", "pins.after", "clusters.before", "clusters.after"]


@pytest.mark.faults
def test_killed_while_people_are_heard(calm: System, tmp_path: Path) -> None:
    """Two pins that looked alike are told apart, two clusters are one: said, then heard."""
    said = calm.copy(tmp_path / "said")
    apart, one, other = sorted(map(sorted, partition(said.lake)), key=len)[-3:]
    assert said.run("override", "unlink", *apart[:2], "--why", "another picture") == 0
    assert said.run("override", "link", one[0], other[0], "--why", "the same picture") == 0
    rough = said.copy(tmp_path / "rough")
    assert said.drain() == 0, said.words()
    for place in PLACES:
        crash(rough, place)
    assert rough.drain() == 0, rough.words()
    compare("stream, hearing people", PLACES, said, rough)
    clusters = partition(rough.lake)
    assert not any({*apart[:2]} <= cluster for cluster in clusters)
    assert any({one[0], other[0]} <= cluster for cluster in clusters)
