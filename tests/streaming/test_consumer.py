"""Where a stream without checkpoint begins."""

import json

from neardup.streaming.consumer import starting_offsets


def test_one_past_the_last_decided_offset_and_new_partitions_from_their_beginning() -> None:
    said = json.loads(starting_offsets("pins", [0, 1, 2], {0: 41, 2: 0}))
    assert said == {"pins": {"0": 42, "1": -2, "2": 1}}
