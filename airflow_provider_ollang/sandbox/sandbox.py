"""The sandbox for Python: a whole Ollang on a local socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from aiohttp import web

from airflow_provider_ollang.sandbox.clock import as_datetime
from airflow_provider_ollang.sandbox.core import Service
from airflow_provider_ollang.sandbox.files import file_host
from airflow_provider_ollang.sandbox.server import application
from airflow_provider_ollang.sandbox.tls import Certificate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from airflow_provider_ollang.sandbox.behaviour import Behaviour
    from airflow_provider_ollang.sandbox.journal import Entry

_BACKLOG = 4096
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared with, not bound to


class Sandbox(Service):
    """A local Ollang to develop and test against.

    >>> with Sandbox(speed=0) as ollang:
    ...     order_id = ollang.add_order(type="subtitle", behaviour={"end_status": "delivered"})
    ...     # … a client works against ollang.url with ollang.api_key …
    ...     ollang.advance(32)

    :param host: address to listen on.
    :param port: port to listen on; 0 picks a free one.
    :param files_port: port of the host of the files; 0 picks a free one.
    :param api_key: the key that the API takes in `X-Api-Key`; may be set anew at any time.
    :param speed: sandbox seconds that pass in one real second; 0 stands still.
    :param behaviour: knobs of every order that has none of its own.
    :param tls: serve https, with a certificate made now; clients trust it by `ca_bundle`.
    :raises SandboxError: for an unknown knob or a negative speed; from `start`, OSError if it cannot listen.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        files_port: int = 0,
        api_key: str = "sandbox-key",
        speed: float = 1.0,
        behaviour: Behaviour | Mapping[str, Any] | None = None,
        tls: bool = False,
    ) -> None:
        super().__init__(api_key=api_key, speed=speed, behaviour=behaviour)
        self.host = host
        self.port = port
        self.files_port = files_port
        self._certificate = Certificate() if tls else None
        self._runners: list[web.AppRunner] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # The server

    async def serve(self) -> None:
        """Listen, in the running event loop.

        :raises OSError: if the address cannot be had.
        """
        try:
            # Kept for the next start: clients know these addresses.
            self.files_port = await self._listen(file_host(self), self.files_port)
            self.port = await self._listen(application(self), self.port)
        except BaseException:
            await self.close()
            raise

    async def _listen(self, app: web.Application, port: int) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self._runners.append(runner)
        await runner.setup()
        context = self._certificate.server_context() if self._certificate else None
        await web.TCPSite(runner, self.host, port, ssl_context=context, backlog=_BACKLOG).start()
        return int(runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening and hang up."""
        while self._runners:
            await self._runners.pop().cleanup()

    def start(self) -> Self:
        """Listen, in a thread of its own; return when requests are answered, at once if they already are.

        :raises OSError: if the address cannot be had.
        """
        if self._thread is not None:
            return self
        started = threading.Event()
        problems: list[BaseException] = []
        loop = asyncio.new_event_loop()

        def run() -> None:
            asyncio.set_event_loop(loop)
            try:
                loop.run_until_complete(self.serve())
            except BaseException as error:  # noqa: BLE001 - handed to the caller of start
                problems.append(error)
            finally:
                started.set()
            if not problems:
                loop.run_forever()
                loop.run_until_complete(self.close())
            loop.close()

        self._loop = loop
        self._thread = threading.Thread(target=run, name="ollang-sandbox", daemon=True)
        self._thread.start()
        started.wait()
        if problems:
            self._thread.join()
            self._thread = None
            raise problems[0]
        return self

    def stop(self) -> None:
        """Stop; what clients still wait for is cut off. It can be started again, with all it knew."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._thread = None

    def discard(self) -> None:
        """Delete the files of the certificate; it cannot be started again."""
        if self._certificate is not None:
            self._certificate.remove()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.discard()

    # How to reach it

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "https" if self._certificate else "http"

    @property
    def url(self) -> str:
        """Base address, without a slash at the end."""
        return self._address(self.port)

    @property
    def files_url(self) -> str | None:
        """Base address of the host of the files, another origin than the API; None before the first start."""
        return self._address(self.files_port) if self.files_port else None

    def _address(self, port: int) -> str:
        host = _WILDCARDS.get(self.host, self.host)
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def ca_bundle(self) -> str | None:
        """Path of the certificate to trust; None without TLS."""
        return str(self._certificate.ca) if self._certificate else None

    @property
    def connection(self) -> dict[str, Any]:
        """The fields of an Airflow connection to it."""
        fields: dict[str, Any] = {
            "conn_type": "ollang",
            "host": self.url.rpartition(":")[0],
            "port": self.port,
            "password": self.api_key,
        }
        if self.ca_bundle:
            fields["extra"] = {"ca_bundle": self.ca_bundle}
        elif not _is_loopback(self.url):
            fields["extra"] = {"allow_http": True}
        return fields

    @property
    def connection_json(self) -> str:
        """That connection as the value of an `AIRFLOW_CONN_…` variable."""
        return json.dumps(self.connection)

    @property
    def connection_uri(self) -> str:
        """That connection as a URI, the other form such a variable takes."""
        scheme, _, address = self.url.partition("://")
        query = urlencode(self.connection.get("extra", {}))
        return f"ollang://{scheme}://:{quote(self.api_key, safe='')}@{address}/{query and f'?{query}'}"

    # Files, faults, journal, clock

    def expected_sha256(self, order_id: str, document_id: str) -> str:
        """Return the SHA-256 of a document's file, in hexadecimal; `content` has the bytes.

        :param document_id: the document's id, or `vttUrl` for the file behind that.
        :raises SandboxError: if there is no such order, or no such file of the sandbox.
        """
        return self.content(order_id, document_id).sha256()

    @property
    def journal(self) -> list[Entry]:
        """The requests so far, oldest first; those of the control are not in it."""
        with self.lock:
            return self.log.after()

    def requests(self, method: str = "*", path: str = "*") -> list[Entry]:
        """Return the requests of a method whose path (with query) matches a glob."""
        return [entry for entry in self.journal if method in ("*", entry.method) and fnmatchcase(entry.path, path)]

    def add_fault(self, method: str = "*", path: str = "*", *, skip: int = 0, times: int | None = 1, **do: Any) -> int:
        """Put a fault in force.

        :param method: HTTP method; `*`: any.
        :param path: glob over the path; `*` matches slashes too.
        :param skip: so many matching requests go through first.
        :param times: how many are hit then; None: all.
        :param do: what happens: the fields of `faults.Do`; a `body` may be bytes too.
        :return: the fault's number, as the journal has it.
        :raises SandboxError: for unknown names and values that make no sense.
        """
        if isinstance(do.get("body"), bytes):
            do["body_base64"] = base64.b64encode(do.pop("body")).decode()
        fault = {"method": method, "path": path, "skip": skip, "times": times, "do": do}
        with self.lock:
            return self.faults.add(fault).id

    def remove_faults(self) -> None:
        """Take all faults away."""
        with self.lock:
            self.faults.remove()

    @property
    def now(self) -> datetime:
        """The time by the sandbox's clock."""
        with self.lock:
            return as_datetime(self.clock.now())

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock on."""
        with self.lock:
            self.clock.advance(seconds)

    def set_speed(self, speed: float) -> None:
        """Let the sandbox's time pass at another speed; 0 stops it."""
        with self.lock:
            self.clock.set_speed(speed)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
