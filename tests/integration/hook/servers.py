"""Small servers for what the sandbox cannot do: odd bytes on the wire, header values, proxies."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


#: What a server goes on for that the client must not wait for.
LONG = 60.0
#: Far more than a loaded machine adds to a limit of a second or two, and far less than that.
IN_TIME = 30.0


def just_before(now: datetime, requested_at: str) -> bool:
    """Tell whether a time is that of a response less the time that its request took, which is a real one."""
    return now - timedelta(seconds=1 + IN_TIME) < datetime.fromisoformat(requested_at) < now


@contextmanager
def dead_route(address: str, port: int) -> Iterator[None]:
    """Listen at an address of this machine where nobody takes a connection: a full backlog swallows what comes next."""
    with ExitStack() as sockets:
        hole = sockets.enter_context(socket.socket())
        hole.bind((address, port))
        hole.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((address, port))
        yield


class Peer:
    """A client's connection, from the server's side."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def receive(self) -> bytes:
        """Receive one request, its body included; empty if the client hung up."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.sock.recv(65536)
            if not piece:
                return b""
            data += piece
        head, _, start = data.partition(b"\r\n\r\n")
        body = bytearray(start)
        length = int(header(head, "Content-Length") or 0)
        while len(body) < length:
            piece = self.sock.recv(65536)
            if not piece:
                return b""
            body += piece
        return head + b"\r\n\r\n" + bytes(body)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def drip(self, data: bytes, pause: float) -> None:
        """Send bytes one by one, until they are through or the client hangs up."""
        for index in range(len(data)):
            self.send(data[index : index + 1])
            if self.hung_up(pause):
                return

    def hung_up(self, seconds: float) -> bool:
        """Wait so long for the client to hang up; tell whether it did."""
        ready, _, _ = select.select([self.sock], [], [], seconds)
        return bool(ready) and not self.sock.recv(1, socket.MSG_PEEK)

    def reset(self) -> None:
        """Break the connection off with a reset instead of a proper end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()


def header(head: bytes, name: str) -> str | None:
    """Return the value of a header of a request."""
    for line in head.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        key, _, value = line.decode("latin-1").partition(":")
        if key.strip().casefold() == name.casefold():
            return value.strip()
    return None


Script = Callable[[Peer, bytes], None]


class RawServer:
    """Does what a script says with each request, and keeps every byte received.

    :param script: called with the connection and the request; the connection is kept for more until it is closed.
    :param greet: called with each new connection before anything is received; true: that was all.
    """

    def __init__(self, script: Script, greet: Callable[[Peer], bool] | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._script = script
        self._greet = greet
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Wakes the thread that accepts; closing alone does not.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            threading.Thread(target=self._serve, args=(Peer(sock),), daemon=True).start()

    def _serve(self, peer: Peer) -> None:
        try:
            with suppress(OSError, ValueError):
                if self._greet is not None and self._greet(peer):
                    return
                while request := peer.receive():
                    self.requests.append(request)
                    self._script(peer, request)
        finally:
            # Nobody must be left waiting for a server that has given up.
            peer.sock.close()


def says(data: bytes, *, close: bool = False) -> Script:
    """Answer each request with these bytes."""

    def script(peer: Peer, request: bytes) -> None:
        peer.send(data)
        if close:
            peer.sock.shutdown(socket.SHUT_WR)

    return script


def http(status: str, body: bytes = b"", *lines: str) -> bytes:
    """Make the bytes of an answer."""
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def stalls(seconds: float) -> Script:
    """Answer nothing until the client hangs up, or for so long."""

    def script(peer: Peer, request: bytes) -> None:
        peer.hung_up(seconds)
        peer.sock.close()

    return script


class ForwardProxy(RawServer):
    """A proxy that forwards: by CONNECT, or requests that name the whole URL.

    :param refusal: answer every CONNECT with these bytes instead.
    """

    def __init__(self, refusal: bytes | None = None) -> None:
        super().__init__(self._forward)
        self._refusal = refusal

    @property
    def first_lines(self) -> list[str]:
        return [request.split(b"\r\n")[0].decode() for request in self.requests]

    def _forward(self, peer: Peer, request: bytes) -> None:
        method, target, _ = request.split(b"\r\n")[0].decode().split(" ")
        if method == "CONNECT":
            if self._refusal is not None:
                peer.send(self._refusal)
                peer.sock.close()
                return
            host, _, port = target.rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port))) as there:
                peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _relay(peer.sock, there)
            return
        host, _, port = target.split("/")[2].partition(":")
        path = "/" + target.split("/", 3)[3]
        with socket.create_connection((host, int(port or 80))) as there:
            there.sendall(request.replace(target.encode(), path.encode(), 1))
            _relay(peer.sock, there)


def _relay(one: socket.socket, other: socket.socket) -> None:
    ends = {one: other, other: one}
    while True:
        ready, _, _ = select.select(list(ends), [], [], 30)
        for sock in ready:
            data = sock.recv(65536)
            if not data:
                return
            ends[sock].sendall(data)
        if not ready:
            return


def closed_port() -> int:
    """Return a port that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Stopwatch:
    """Measures how long a block takes, by real time."""

    seconds: float

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.monotonic() - self._started
