"""A proxy that counts what a server sends through it, and does something when so much has come."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

PIECE = 1 << 16


class CountingProxy:
    """Connects clients by CONNECT with whatever they ask for, and counts what comes from one server.

    :param port: port of the server whose bytes are counted: all that comes by its connections, TLS included.
    """

    def __init__(self, port: int) -> None:
        self.received = 0
        self._counted = port
        self._at: tuple[int, Callable[[], None]] | None = None
        self._lock = threading.Lock()
        count, counted = self._count, port

        class Tunnel(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                host, _, port = self.rfile.readline().split()[1].decode().rpartition(":")
                while self.rfile.readline().strip():
                    pass
                with socket.create_connection((host, int(port))) as there:
                    self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    back = threading.Thread(target=_pass_on, args=(self.connection, there), daemon=True)
                    back.start()
                    _pass_on(there, self.connection, count if int(port) == counted else None)
                    back.join()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def at(self, received: int, action: Callable[[], None]) -> None:
        """Do something once, as soon as so many bytes have come in all, and before the last of them go on."""
        with self._lock:
            self._at = received, action

    def _count(self, number: int) -> None:
        with self._lock:
            self.received += number
            if self._at is not None and self.received >= self._at[0]:
                action, self._at = self._at[1], None
                action()


def _pass_on(here: socket.socket, there: socket.socket, count: Callable[[int], None] | None = None) -> None:
    with suppress(OSError):
        while piece := here.recv(PIECE):
            if count is not None:
                count(len(piece))
            there.sendall(piece)
    # Either end's end is the other's; and it wakes whoever passes on the other way.
    for one in (here, there):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
