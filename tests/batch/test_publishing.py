"""Publishing without a stream asks the classifier that the lake's stream uses."""

from pathlib import Path

from neardup.batch.publishing import rollback
from neardup.models.registry import STREAM, Registry
from neardup.schemas.settings import load_settings
from tests.worlds import World


def test_a_rollback_takes_the_classifier_in_use_not_that_of_the_settings(tmp_path: Path) -> None:
    world = World(tmp_path, seed=4)
    for _ in range(2):
        world.events(8)
        world.compact()
    registry = Registry(world.lake)
    registry.took(STREAM, registry.add(None).version, world.batch_seq)
    settings = load_settings(
        lake={"path": tmp_path / "lake"}, models={"classifier": tmp_path / "lost.npz"}
    )
    assert world.lake.current_generation() == 2
    rollback(settings, 1)
    assert world.lake.current_generation() == 1
