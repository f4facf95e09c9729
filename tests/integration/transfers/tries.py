"""Tries of a delivery, each in a process of its own, to be killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_ollang.sandbox import Sandbox

LIMIT = 60.0

#: To import Airflow takes seconds: one process does it for all tries.
_PROCESSES = multiprocessing.get_context("forkserver")


def _run(module: str, state: Path, arguments: dict[str, Any], env: dict[str, str], output: Path) -> NoReturn:
    """Run a try in this process, say what it returned, and end the process."""
    os.environ.clear()
    os.environ.update(env)
    with output.open("wb") as said:
        os.dup2(said.fileno(), sys.stdout.fileno())
        os.dup2(said.fileno(), sys.stderr.fileno())
    code = 1
    try:
        sys.stdout.write(json.dumps(import_module(module).main(state, arguments)))
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it is, it is told
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    # As Airflow ends a task: without waiting for its threads.
    os._exit(code)


class Try:
    """
    One try of the task.

    :param state: where the task's state is kept, which outlives its tries.
    :param arguments: of the operator.
    :param env: what else the process is told.
    """

    module = "tests.integration.transfers.one_try"
    defaults: ClassVar[dict[str, Any]] = {"max_files_at_once": 2}

    def __init__(self, ollang: Sandbox, state: Path, arguments: dict[str, Any], **env: str) -> None:
        descriptor, name = tempfile.mkstemp(dir=state.parent)
        os.close(descriptor)
        self._output = Path(name)
        env = {**os.environ, "AIRFLOW_CONN_OLLANG_DEFAULT": ollang.connection_json, **env}
        self.process = _PROCESSES.Process(
            target=_run, args=(self.module, state, {**self.defaults, **arguments}, env, self._output)
        )
        self.process.start()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT
        while not condition():
            if self.process.exitcode is not None:
                raise AssertionError(f"ended before that: {self._output.read_text()}")
            if time.monotonic() > end:
                raise AssertionError("never came")
            time.sleep(0.002)

    def end(self, how: int | None = None) -> str:
        """Wait for the end, or send a signal and wait for it; return what the process said."""
        if how is not None and self.process.pid is not None:
            os.kill(self.process.pid, how)
        self.process.join(LIMIT)
        assert self.process.exitcode is not None, "it did not end"
        return self._output.read_text()

    def result(self) -> dict[str, Any]:
        """Wait for the end, and return the manifest and the memory it took."""
        said = self.end()
        assert self.process.exitcode == 0, said
        result: dict[str, Any] = json.loads(said.splitlines()[-1])
        return result


class UploadTry(Try):
    """One try of an upload."""

    module = "tests.integration.transfers.upload_try"
    defaults: ClassVar[dict[str, Any]] = {"source_language": "en"}


_PROCESSES.set_forkserver_preload([Try.module, UploadTry.module])


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
            one.process.join()


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
