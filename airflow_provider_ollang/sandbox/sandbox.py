"""The sandbox for Python: a local Ollang on a socket, in its own thread."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import Future
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_ollang.sandbox.api_server import api_application
from airflow_provider_ollang.sandbox.clock import to_datetime
from airflow_provider_ollang.sandbox.file_server import file_application
from airflow_provider_ollang.sandbox.service import Service
from airflow_provider_ollang.sandbox.tls import Certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from typing import Self

    from airflow_provider_ollang.sandbox.options import Behaviour
    from airflow_provider_ollang.sandbox.request_log import LoggedRequest

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
    :param api_key: the key that the API takes in `X-Api-Key`; may be changed at any time.
    :param speed: sandbox seconds that pass in one real second; 0 stands still.
    :param behaviour: options of every order that has none of its own, as `Behaviour` or by name.
    :param tls: serve https, with a new certificate; clients trust it by `ca_bundle`.
    :raises SandboxError: for an unknown option or a negative speed; from `start`, OSError if it cannot listen.
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
        self._stop: Callable[[], object] = lambda: None

    # The server

    async def serve(self) -> None:
        """Listen, in the running event loop; an OSError says that the address cannot be had."""
        try:
            # Kept for the next start: clients know these addresses.
            self.files_port = await self._listen(file_application(self), self.files_port)
            self.port = await self._listen(api_application(self), self.port)
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
        """Stop listening, and close all connections."""
        while self._runners:
            await self._runners.pop().cleanup()

    def start(self) -> Self:
        """Listen in a new thread, and return once requests are answered; raises as `serve`."""
        if self._thread is not None:
            return self
        listening: Future[None] = Future()
        self._thread = threading.Thread(
            target=asyncio.run, args=[self._serve_until_stopped(listening)], name="ollang-sandbox", daemon=True
        )
        self._thread.start()
        try:
            listening.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise
        return self

    async def _serve_until_stopped(self, listening: Future[None]) -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        try:
            await self.serve()
        except BaseException as error:  # noqa: BLE001 - raised by start
            listening.set_exception(error)
            return
        listening.set_result(None)
        await stopped.wait()
        await self.close()

    def stop(self) -> None:
        """Stop, and close all connections. It can be started again with its state."""
        if self._thread is not None:
            self._stop()
            self._thread.join()
            self._thread = None

    def discard(self) -> None:
        """Delete the files of the certificate; it cannot be started again."""
        if self._certificate is not None:
            self._certificate.remove()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.discard()

    # How to reach it

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
        scheme = "https" if self._certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def ca_bundle(self) -> str | None:
        """Path of the certificate to trust; None without TLS."""
        return str(self._certificate.ca) if self._certificate else None

    @property
    def connection(self) -> dict[str, Any]:
        """The fields of an Airflow connection to it."""
        host = self.url.rpartition(":")[0]
        fields: dict[str, Any] = {"conn_type": "ollang", "host": host, "port": self.port, "password": self.api_key}
        if self.ca_bundle:
            fields["extra"] = {"ca_bundle": self.ca_bundle}
        elif not self.url.startswith(("http://localhost:", "http://127.", "http://[::1]:")):
            fields["extra"] = {"allow_http": True}
        return fields

    @property
    def connection_json(self) -> str:
        """That connection as the value of an `AIRFLOW_CONN_…` variable."""
        return json.dumps(self.connection)

    # Requests, faults, time

    @property
    def request_log(self) -> list[LoggedRequest]:
        """The requests so far, oldest first, without those to the admin API."""
        return self.requests()

    @property
    def last_request(self) -> int:
        """The number of the latest request; 0 if there is none."""
        return self.log.last

    def requests(self, method: str = "*", path: str = "*", *, after: int = 0) -> list[LoggedRequest]:
        """Return logged requests.

        :param method: HTTP method; `*`: any.
        :param path: glob over the path with its query; `*` matches slashes too.
        :param after: only those with a number above this one.
        """
        with self.lock:
            logged = self.log.after(after)
        return [each for each in logged if method in ("*", each.method) and fnmatchcase(each.path, path)]

    def add_fault(self, method: str = "*", path: str = "*", *, skip: int = 0, times: int | None = 1, **do: Any) -> int:
        """Add a fault.

        :param method: HTTP method; `*`: any.
        :param path: glob over the path; `*` matches slashes too.
        :param skip: so many matching requests are spared first.
        :param times: how many are hit then; None: all.
        :param do: what happens: the fields of `faults.Do`; a `body` may be bytes too.
        :return: the fault's number, as the request log has it.
        :raises SandboxError: for unknown names and values that make no sense.
        """
        if isinstance(do.get("body"), bytes):
            do["body"] = do["body"].decode(errors="surrogateescape")
        with self.lock:
            return self.faults.add({"method": method, "path": path, "skip": skip, "times": times, "do": do}).id

    def remove_faults(self) -> None:
        """Remove all faults."""
        with self.lock:
            self.faults.remove()

    @property
    def now(self) -> datetime:
        """The time by the sandbox's clock."""
        with self.lock:
            return to_datetime(self.clock.now())
