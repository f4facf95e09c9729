"""Tries of a delivery, each in a process of its own, to be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_ollang.sandbox import Sandbox

ROOT = Path(__file__).parents[3]
LIMIT = 60.0


class Try:
    """
    One try of the task.

    :param state: where the task's state is kept, which outlives its tries.
    :param arguments: of the operator.
    :param env: what else the process is told.
    """

    module = "one_try"
    defaults: ClassVar[dict[str, Any]] = {"max_files_at_once": 2}

    def __init__(self, ollang: Sandbox, state: Path, arguments: dict[str, Any], **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"tests.integration.transfers.{self.module}", str(state)],
            cwd=ROOT,
            env={
                **os.environ,
                "AIRFLOW_CONN_OLLANG_DEFAULT": ollang.connection_json,
                "ARGUMENTS": json.dumps({**self.defaults, **arguments}),
                **env,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT
        while not condition():
            if self.process.poll() is not None:
                raise AssertionError(f"ended before that: {self.process.communicate()[0]}")
            if time.monotonic() > end:
                raise AssertionError("never came")
            time.sleep(0.002)

    def end(self, how: int | None = None) -> str:
        """Wait for the end, or send a signal and wait for it; return what the process said."""
        if how is not None:
            self.process.send_signal(how)
        return str(self.process.communicate(timeout=LIMIT)[0])

    def result(self) -> dict[str, Any]:
        """Wait for the end, and return the manifest and the memory it took."""
        said = self.end()
        assert self.process.returncode == 0, said
        result: dict[str, Any] = json.loads(said.splitlines()[-1])
        return result


class UploadTry(Try):
    """One try of an upload."""

    module = "upload_try"
    defaults: ClassVar[dict[str, Any]] = {"source_language": "en"}


@contextmanager
def beginning(ollang: Sandbox, state: Path, kind: type[Try] = Try) -> Iterator[Callable[..., Try]]:
    """Give what begins a try; none of them outlives this."""
    tries: list[Try] = []

    def begin(arguments: dict[str, Any], **env: str) -> Try:
        tries.append(kind(ollang, state, arguments, **env))
        return tries[-1]

    try:
        yield begin
    finally:
        for one in tries:
            one.process.kill()
            one.process.communicate()


def order_of(ollang: Sandbox, size: int, *, names: Sequence[str], rate: int | None = None) -> str:
    """
    Add an order with a file of each name.

    :param size: of each file.
    :param names: of the files, without their ending.
    :param rate: bytes a second by which each is sent; default as fast as can be.
    """
    if rate is not None:
        ollang.add_fault("GET", "/files/*", rate=rate, times=None)
    files = [{"id": name, "name": f"{name}.mp4", "size": size} for name in names]
    return ollang.add_order(type="document", files=files)


def wanted_of(ollang: Sandbox, order_id: str, names: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 that each file must have."""
    return {f"{name}.mp4": ollang.content(order_id, name).sha256() for name in names}


def asked_for(ollang: Sandbox) -> list[str]:
    """Return the file of each request for one."""
    return [entry.path.split("/")[3] for entry in ollang.request_log if entry.host == "files"]


def told(manifest: dict[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each file by a manifest."""
    return {one["path"].rpartition("/")[2]: one["sha256"] for one in manifest["files"]}
