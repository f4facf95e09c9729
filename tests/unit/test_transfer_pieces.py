"""What comes from a file host is put together, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from airflow_provider_ollang.runtime.cancellation import TaskCancelledError
from airflow_provider_ollang.transfers._file_host import gathered

RECORD = 16 * 1024


def reading(pieces: Sequence[bytes | Exception]) -> Callable[[int], bytes]:
    left = list(pieces)

    def read(size: int) -> bytes:
        piece = left.pop(0) if left else b""
        if isinstance(piece, Exception):
            raise piece
        assert len(piece) <= size
        return piece

    return read


@pytest.mark.parametrize("records", [0, 1, 15, 16, 17, 50])
def test_pieces_are_large_and_hold_all_in_order(records: int) -> None:
    sent = [bytes([number]) * RECORD for number in range(records)]
    pieces = list(gathered(reading(sent)))
    assert b"".join(pieces) == b"".join(sent)
    assert all(len(piece) == 16 * RECORD for piece in pieces[:-1])
    assert b"" not in pieces


@pytest.mark.parametrize("records", [0, 1, 16, 17])
def test_what_came_before_a_failure_comes_before_the_failure(records: int) -> None:
    sent = [bytes([number]) * RECORD for number in range(records)]
    came = bytearray()
    with pytest.raises(ConnectionResetError, match="by peer"):  # noqa: PT012 - that is what comes before it
        for piece in gathered(reading([*sent, ConnectionResetError("by peer")])):
            came += piece
    assert came == b"".join(sent)


def test_of_a_task_that_was_ended_nothing_more_is_written() -> None:
    with pytest.raises(TaskCancelledError):
        next(gathered(reading([b"a", TaskCancelledError()])))
