"""Searches a whole Airflow home for words that must not be in it: keys, signatures of links."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

CHUNK = 1 << 20


def find_leaks(home: Path, secrets: Mapping[str, str]) -> list[str]:
    """Return `place: name` for each place that holds one of the secrets, given by name; never the secret itself.

    Files are read as they are; databases row by row too, since a long value is cut in pieces on disk.
    """
    words = {name: secret.encode() for name, secret in secrets.items()}
    if not all(words.values()):
        raise ValueError("an empty secret would be found everywhere")
    found: list[str] = []
    for path in sorted(home.rglob("*")):
        if path.is_file() and not path.is_symlink():
            place = str(path.relative_to(home))
            found += [f"{place}: {name}" for name in _names_in(_chunks(path), words)]
            if path.suffix == ".db":
                found += [
                    f"{place} table {table}: {name}"
                    for table, values in _tables(path)
                    for name in _names_in(values, words)
                ]
    return found


def _names_in(pieces: Iterable[bytes], words: Mapping[str, bytes]) -> list[str]:
    missing = dict(words)
    found = []
    for piece in pieces:
        for name, word in list(missing.items()):
            if word in piece:
                found.append(name)
                del missing[name]
    return found


def _chunks(path: Path) -> Iterator[bytes]:
    """Read a file in pieces that overlap, so that nothing is cut in two unseen."""
    overlap = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield overlap + chunk
            overlap = chunk[-1024:]


def _tables(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            yield table, _values(database, table)
    finally:
        database.close()


def _values(database: sqlite3.Connection, table: str) -> Iterator[bytes]:
    quoted = table.replace('"', '""')
    for row in database.execute(f'SELECT * FROM "{quoted}"'):  # noqa: S608 - a name from the database
        for value in row:
            if isinstance(value, str):
                yield value.encode(errors="surrogatepass")
            elif isinstance(value, bytes):
                yield value
