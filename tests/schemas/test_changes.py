"""The contract of the changes: what is written down is what is sent."""

import json
from pathlib import Path
from typing import get_args

from neardup.clusters.changes import NAMES
from neardup.schemas.changes import KINDS, VERSION, ClusterChange, Kind, encode_change, json_schema

SCHEMA = Path(__file__).parents[2] / "schemas" / f"cluster-change.v{VERSION}.json"


def test_the_schema_in_the_repository_is_that_of_the_type() -> None:
    assert SCHEMA.read_bytes() == json_schema(), "run `python -m neardup.schemas.document`"


def test_the_kinds_are_one_vocabulary() -> None:
    assert tuple(KINDS) == get_args(Kind) == NAMES


def test_a_change_as_a_consumer_sees_it() -> None:
    change = ClusterChange("a", "left", None, None, 7, (0, 3, 1), 0)
    assert json.loads(encode_change(change)) == {
        "pin_id": "a",
        "change": "left",
        "cluster_id": None,
        "head": None,
        "previous": 7,
        "sequence": [0, 3, 1],
        "generation": 0,
    }
