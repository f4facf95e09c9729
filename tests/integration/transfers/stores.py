"""Stores to deliver to: a strict one of our own, and S3 as a server in another process speaks it."""

from __future__ import annotations

import asyncio
import importlib
import io
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

_S3_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


class StrictFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """
    A store of objects at its strictest: no folders, no renaming, appending or seeking, and a closed file is there.

    As in any store of fsspec's, a file that is left by an error is closed, and so half of it would be there.
    """

    protocol = "strict"
    cachable = False
    #: Other threads look while it is written to.
    lock: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.objects: dict[str, bytes] = {}
        #: Each object there ever was, as it was when it appeared.
        self.history: list[tuple[str, bytes]] = []
        #: What each operation meets: an error, or what it waits for.
        self.fails: dict[str, BaseException | Callable[[], object]] = {}

    def put(self, path: str, content: bytes) -> None:
        with self.lock:
            self.objects[path] = content
            self.history.append((path, content))

    def _key(self, path: str) -> str:
        return str(self._strip_protocol(path)).strip("/")

    def _fail(self, what: str) -> None:
        trouble = self.fails.get(what)
        if isinstance(trouble, BaseException):
            raise trouble
        if trouble is not None:
            trouble()

    def _open(self, path: str, mode: str = "rb", **_: Any) -> io.IOBase:
        self._fail("open")
        if mode == "wb":
            return _Writing(self, self._key(path))
        if mode != "rb":
            raise NotImplementedError(mode)
        with self.lock:
            if self._key(path) not in self.objects:
                raise FileNotFoundError(path)
            return io.BytesIO(self.objects[self._key(path)])

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        self._fail("info")
        with self.lock:
            if self._key(path) not in self.objects:
                raise FileNotFoundError(path)
            return {"name": self._key(path), "size": len(self.objects[self._key(path)]), "type": "file"}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        self._fail("ls")
        below = f"{self._key(path)}/"
        with self.lock:
            found = [self.info(key) for key in self.objects if key.startswith(below) and "/" not in key[len(below) :]]
        if not found:
            raise FileNotFoundError(path)
        return found if detail else [one["name"] for one in found]

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        self._fail("cp_file")
        with self.lock:
            self.put(self._key(path2), self.objects[self._key(path1)])

    def _rm(self, path: str) -> None:
        self._fail("rm")
        with self.lock:
            del self.objects[self._key(path)]

    def makedirs(self, *_: Any, **__: Any) -> None:
        self._fail("makedirs")


class _Writing(io.RawIOBase):
    def __init__(self, fs: StrictFileSystem, key: str) -> None:
        super().__init__()
        self._fs, self._key, self._content = fs, key, bytearray()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, piece: Any) -> int:
        self._fs._fail("write")
        self._content += piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._fs._fail("close")
            self._fs.put(self._key, bytes(self._content))


@contextmanager
def s3_process() -> Iterator[tuple[str, int]]:
    """Run a server that speaks S3; yields its address, and the id of its process."""
    command = [sys.executable, "-c", _S3_SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        if server.stdout is None or server.stdin is None:
            raise AssertionError("pipes were asked for")
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}", server.pid
        finally:
            server.stdin.close()
            server.wait(timeout=20)


class SftpServer:
    """
    A server that speaks SFTP and nothing else, as those for file transfers do.

    :param root: the folder that it serves.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root).encode()
        #: What was to be run in a shell.
        self.commands: list[str | None] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._acceptor = self._run(self._listen())
        self.port = int(self._acceptor.get_port())

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _listen(self) -> Any:
        # Not every environment of the tests has it.
        asyncssh: Any = importlib.import_module("asyncssh")

        class OpenServer(asyncssh.SSHServer):  # type: ignore[misc]
            def begin_auth(self, _: str) -> bool:
                return False

        def refuse(process: Any) -> None:
            self.commands.append(process.command)
            process.exit(127)

        return await asyncssh.create_server(
            OpenServer,
            "127.0.0.1",
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=self._root),
            process_factory=refuse,
        )

    def stop(self) -> None:
        async def close() -> None:
            self._acceptor.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._run(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def google_server() -> tuple[Any, int]:
    """Start a server that speaks Google's API; returns it, and its port."""
    emulator: Any = importlib.import_module("gcp_storage_emulator.server")
    deleted = (r"^/upload/storage/v1/b/(?P<bucket_name>[-.\w]+)/o$", {"DELETE": lambda *_: None})
    emulator.HANDLERS = tuple(
        (pattern, {**handlers, **deleted[1]}) if "upload" in pattern else (pattern, handlers)
        for pattern, handlers in emulator.HANDLERS
    )
    server = emulator.create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    return server, int(server._api._httpd.server_port)
