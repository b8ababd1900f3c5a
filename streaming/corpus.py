"""What lies at a path: the four kinds of corpus that can be backfilled."""

from pathlib import Path

from deltalake import DeltaTable

from neardup.models.hasher import Hasher
from neardup.schemas.errors import SourceError
from neardup.streaming.columns import Columns
from neardup.streaming.embedding_files import data_files, delta_source, parquet_source
from neardup.streaming.picture_folder import picture_source, pictures
from neardup.streaming.sources import Source


def open_source(path: Path, columns: Columns, hasher: Hasher, version: int | None = None) -> Source:
    """The corpus at ``path``: a Parquet file, a folder of them, a Delta table, or pictures.

    ``version``: of a Delta table, the newest if None. Raises SourceError.
    """
    if not path.exists():
        raise SourceError(f"There is nothing at {path}: give the path of a corpus.")
    if path.is_file():
        return parquet_source(path, columns, hasher)
    if DeltaTable.is_deltatable(str(path)):
        return delta_source(path, columns, hasher, version)
    files, photos = data_files(path), pictures(path)
    if files and photos:
        raise SourceError(
            f"{path} holds {len(files)} Parquet files and {len(photos)} pictures: give a path "
            "that holds one kind."
        )
    if files:
        return parquet_source(path, columns, hasher)
    if photos:
        return picture_source(path, photos)
    raise SourceError(
        f"{path} holds neither Parquet files nor pictures, and is no Delta table: there is nothing "
        "to backfill."
    )
