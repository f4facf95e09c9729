"""The search for secrets finds what was planted, wherever it is."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dev.leaks import CHUNK, find_leaks

SECRETS = {"API key": "canary-key-123456", "link signature": "canary-signature"}


def test_clean_home_has_no_leak(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("[core]\nkey = canary-key-12345\n")
    assert find_leaks(tmp_path, SECRETS) == []


def test_secret_in_a_log_is_found_and_not_shown(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "dag_id=x" / "attempt=1.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"\xff\x00 https://example.com/a.srt?Signature=canary-signature-1 \xfe")
    assert find_leaks(tmp_path, SECRETS) == ["logs/dag_id=x/attempt=1.log: link signature"]


def test_secret_across_two_reads_is_found(tmp_path: Path) -> None:
    (tmp_path / "big.log").write_bytes(b"." * (CHUNK - 8) + b"canary-key-123456" + b"." * 100)
    assert find_leaks(tmp_path, SECRETS) == ["big.log: API key"]


@pytest.mark.parametrize("as_bytes", [False, True])
def test_secret_in_a_long_database_value_is_found(tmp_path: Path, as_bytes: bool) -> None:
    with sqlite3.connect(tmp_path / "airflow.db") as database:
        database.execute("CREATE TABLE xcom (id INTEGER, value)")
        for length in range(3900, 4200, 7):
            value = "." * length + "canary-key-123456"
            database.execute("INSERT INTO xcom VALUES (1, ?)", (value.encode() if as_bytes else value,))
    database.close()
    assert "airflow.db table xcom: API key" in find_leaks(tmp_path, SECRETS)


def test_empty_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="empty"):
        find_leaks(tmp_path, {"API key": ""})
