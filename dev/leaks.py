"""Searches a whole Airflow home for what must not be in it: keys, signatures of links."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

CHUNK = 1 << 20


def find_leaks(home: Path, secrets: Mapping[str, str]) -> list[str]:
    """Return `place: name` for each place that holds one of the secrets, given by name; never the secret itself.

    Files are read as they are; databases row by row too, since a long value is cut in pieces on disk.
    """
    needles = {name: secret.encode() for name, secret in secrets.items()}
    if not all(needles.values()):
        raise ValueError("an empty secret would be found everywhere")
    leaks: list[str] = []
    for path in sorted(home.rglob("*")):
        if path.is_file() and not path.is_symlink():
            place = str(path.relative_to(home))
            leaks += [f"{place}: {name}" for name in _names_in(_chunks(path), needles)]
            if path.suffix == ".db":
                for table, values in _tables(path):
                    leaks += [f"{place} table {table}: {name}" for name in _names_in(values, needles)]
    return leaks


def _names_in(pieces: Iterable[bytes], needles: Mapping[str, bytes]) -> list[str]:
    names: dict[str, None] = {}
    for piece in pieces:
        names |= dict.fromkeys(name for name, needle in needles.items() if needle in piece)
    return list(names)


def _chunks(path: Path) -> Iterator[bytes]:
    """Read a file in pieces that overlap, so that nothing is cut in two unseen."""
    overlap = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield overlap + chunk
            overlap = chunk[-1024:]


def _tables(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            quoted = table.replace('"', '""')
            rows = database.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608 - a name from the database
            values = (value for row in rows for value in row if isinstance(value, str | bytes))
            yield table, (value.encode(errors="surrogatepass") if isinstance(value, str) else value for value in values)
