"""Rows of the log in the order of their ordinals, however files hold them."""

import pyarrow as pa
import pytest

from neardup.clusters.snapshot import _by_ordinal


@pytest.mark.parametrize(
    "files",
    [[], [[0, 1, 2]], [[3, 4], [0, 1, 2]], [[2], [1], [0]], [[0, 3], [1, 2]], [[2, 0, 1]]],
)
def test_rows_come_in_order(files: list[list[int]]) -> None:
    schema = pa.schema([("ordinal", pa.int64()), ("pin_id", pa.string())])
    tables = [pa.table({"ordinal": file, "pin_id": map(str, file)}, schema) for file in files]
    ends = pa.table({"ordinal": [None], "pin_id": ["gone"]}, schema)  # no pin came with this row
    rows = _by_ordinal(pa.concat_tables([ends, *tables]))
    expected = sorted(ordinal for file in files for ordinal in file)
    assert rows["ordinal"].to_pylist() == expected
    assert rows["pin_id"].to_pylist() == [str(ordinal) for ordinal in expected]
