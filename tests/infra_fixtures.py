"""A pytest plugin: the broker that tests of the whole path share."""

from collections.abc import Iterator

import pytest

from neardup.infra.kafka import Broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Started once, 4 s. Tests take a topic of their own and leave the broker running."""
    with Broker(tmp_path_factory.mktemp("broker")) as shared:
        yield shared
