"""The server that every client is measured against: the sandbox over TLS, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import psutil  # type: ignore[import-untyped]
import requests

from dev.processes import StackError
from dev.stack import environment

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).parents[1]
DBT_RUNNING, DBT_SUCCESS = 3, 10


class Look(NamedTuple):
    """One request as the server saw it."""

    time: float
    path: str
    connection: int
    status: int | None


def order_id(number: int) -> str:
    """Return the id of one of the orders to wait for."""
    return f"bench-{number:04}"


class Server:
    """A sandbox with orders to wait for, which also answers what dbt Cloud is asked.

    Its answer to dbt Cloud's client is an order in dbt Cloud's envelope, so that both read as much.

    :param orders: how many orders there are.
    """

    def __init__(self, orders: int) -> None:
        self._orders = orders
        self._home = tempfile.TemporaryDirectory(prefix="ollang-benchmarks-")
        self._log = Path(self._home.name) / "server.log"
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> Self:
        """Start it and fill it."""
        command = [sys.executable, "-m", "airflow_provider_ollang.sandbox", "--tls", "--port", "0"]
        # It writes a line for each client that is killed while it reads.
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            self._read_address()
            for number in range(self._orders):
                self.admin("PUT", f"/orders/{order_id(number)}", {"order": {"type": "subtitle", "status": "ongoing"}})
            if self._orders:
                self._dbt_fault = self._answer_dbt(DBT_RUNNING)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.communicate()
        self._session.close()
        self._home.cleanup()

    def _read_address(self) -> None:
        if self._process.stdout is None:
            raise AssertionError("a pipe was asked for")
        # Its address, two variables to export, and its certificate.
        lines = [self._process.stdout.readline().strip() for _ in range(4)]
        if not all(lines):
            raise StackError(f"the server did not start:\n{self._log.read_text()}")
        self.url = lines[0].rpartition(" ")[2]
        self.connection = lines[1].partition("=")[2].strip("'")
        self._session.verify = lines[3].rpartition(" ")[2]
        self.env = {
            "AIRFLOW_CONN_OLLANG_DEFAULT": self.connection,
            "AIRFLOW_CONN_DBT_CLOUD_DEFAULT": json.dumps(
                {
                    "conn_type": "dbt_cloud",
                    "host": self.url.removeprefix("https://"),
                    "login": "1",
                    "password": "benchmark",
                }
            ),
            "SSL_CERT_FILE": self._session.verify,
            "REQUESTS_CA_BUNDLE": self._session.verify,
        }

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call the sandbox's admin API; `path` begins after `/_sandbox`."""
        answer = self._session.request(method, f"{self.url}/_sandbox{path}", json=body, timeout=60)
        if not answer.ok:
            raise StackError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def order(self, order_id: str) -> Any:
        """Get an order as a client does, with links that work."""
        answer = self._session.get(
            f"{self.url}/integration/orders/{order_id}",
            headers={"X-Api-Key": json.loads(self.connection)["password"]},
            timeout=60,
        )
        answer.raise_for_status()
        return answer.json()

    def fault(self, path: str, *, skip: int = 0, times: int | None = None, **do: Any) -> int:
        """Put a fault in force and return its number; of several that match a request the first added hits it."""
        return int(self.admin("POST", "/faults", {"path": path, "skip": skip, "times": times, "do": do})["id"])

    def _answer_dbt(self, status: int) -> int:
        order = self.admin("GET", f"/orders/{order_id(0)}")["order"]
        return self.fault("/api/v2/accounts/1/runs/*", body={"data": {**order, "id": 1, "status": status}})

    def finish_all(self) -> None:
        """Let every order and every job of dbt Cloud be done."""
        for number in range(self._orders):
            self.admin("PATCH", f"/orders/{order_id(number)}", {"order": {"status": "completed"}})
        self._answer_dbt(DBT_SUCCESS)
        self.admin("DELETE", f"/faults?id={self._dbt_fault}")

    def last(self) -> int:
        """Return the number of the latest request."""
        return int(self.admin("GET", "/requests?after=1000000000")["last"])

    def looks(self, after: int = 0) -> list[Look]:
        """Return the requests that came after a numbered one."""
        entries = self.admin("GET", f"/requests?after={after}")["requests"]
        return [
            Look(datetime.fromisoformat(one["time"]).timestamp(), one["path"], one["connection"], one["status"])
            for one in entries
        ]

    def run(self, module: str, *arguments: object, **env: str) -> dict[str, Any]:
        """Run a module of `benchmarks` in a process of its own, connected to this server; return its result."""
        command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment(**env), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StackError(f"{' '.join(command[2:])} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return measured

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a process that reaches this server, in an Airflow home of its own."""
        return environment(os.environ, {**self.env, "AIRFLOW_HOME": self._home.name, **more})

    def poll(self, client: str, *, waits: int, interval: float, warm: float, seconds: float) -> dict[str, Any]:
        """Let a client of `benchmarks.client` poll this server from a process of its own; return what it measured."""
        return self.run("client", client, waits, interval, warm, seconds)

    @property
    def cpu(self) -> float:
        """Seconds of CPU that the server has taken."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)
