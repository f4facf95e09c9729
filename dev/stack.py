"""A whole Airflow in a private home: API server, scheduler, DAG processor and triggerer, on SQLite."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from base64 import urlsafe_b64encode
from contextlib import ExitStack, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dev.airflow_api import AirflowApi
from dev.processes import Interruption, Process, StackError, T, interruptible, stop_all, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

# The log servers would listen on every interface; on one machine the API server reads the files itself.
COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
START_TIMEOUT, STOP_TIMEOUT = 180.0, 30.0
# All that a component gets of the caller's environment: no Airflow settings, no keys.
INHERITED = frozenset(
    (
        *("HOME", "USER", "LOGNAME", "PATH", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE"),
        *("LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
    )
)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    # Below the range of outgoing connections: one of these may take a port from it before Airflow listens there.
    for port in random.SystemRandom().sample(range(20000, 32000), k=1000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise StackError("no free port between 20000 and 32000")


def settings(home: Path, dags_folders: Sequence[Path], port: int) -> dict[str, str]:
    """Return the environment that makes Airflow small, quick and private."""
    url = f"http://127.0.0.1:{port}"
    bundles = [
        {
            # Airflow keeps the name "example_dags" to itself.
            "name": f"dags-{folder.name}",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder), "refresh_interval": 5},
        }
        for folder in dags_folders
    ]
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # The default forks 32 idle workers.
        "AIRFLOW__CORE__PARALLELISM": "6",
        "AIRFLOW__CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        # SQLite gives up after 5 s if another component writes for longer, as it may on a busy machine.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        # A file that has changed is read at once all the same; each time, each file costs a process and half a second.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        # With the default of 5 s a worker may outlive its task's deferral; if the trigger fires meanwhile, the
        # scheduler takes the worker's end for the end of the resumed task and fails it.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }


def environment(inherited: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a component: the little it needs of the caller's, and its own settings."""
    env = {name: value for name, value in inherited.items() if name in INHERITED}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    # The components talk to each other on loopback, whatever proxy there is for the rest of the world.
    outside = inherited.get("NO_PROXY") or inherited.get("no_proxy")
    env["NO_PROXY"] = env["no_proxy"] = ",".join(filter(None, [outside, "127.0.0.1", "localhost"]))
    return env | dict(own)


class AirflowStack(AirflowApi):
    """The four components, and what their REST API tells.

    `env` has connections and settings that differ. Without a `home` one is made and, unless something goes wrong,
    removed at the end. At the end, on an exception, Ctrl-C and SIGTERM nothing that was started is left running.

    A task that defers or is rescheduled must stay away for two seconds: see MIN_HEARTBEAT_INTERVAL above.
    """

    def __init__(
        self, *, dags_folders: Sequence[Path], home: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._own_home = home is None
        self.home = home or Path(tempfile.mkdtemp(prefix="ollang-airflow-"))
        port = free_port()
        super().__init__(f"http://127.0.0.1:{port}")
        own = settings(self.home, [folder.resolve() for folder in dags_folders], port)
        self.env = environment(os.environ, own | dict(env or {}))
        self._processes: list[Process] = []
        self._cleanup = ExitStack()
        self._interruption = Interruption()

    def __enter__(self) -> Self:
        """Start everything and wait until it works."""
        if threading.current_thread() is threading.main_thread():
            self._interruption = self._cleanup.enter_context(interruptible())
        try:
            self._start()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything; keep a home of our own only if it may tell what went wrong."""
        with self._cleanup:
            interrupted = self._interruption.seen > 0 or isinstance(error, KeyboardInterrupt)
            if interrupted:
                print("\nstopping Airflow …", file=sys.stderr, flush=True)
            self.stop(timeout=3 if interrupted else None)
            if self._own_home:
                if error is None or interrupted:
                    shutil.rmtree(self.home, ignore_errors=True)
                else:
                    print(f"Airflow's home is kept: {self.home}", file=sys.stderr)

    @property
    def component_pids(self) -> dict[str, int]:
        """The pid of each component by name."""
        return {process.name: process.pid for process in self._processes}

    def members(self) -> list[int]:
        """Return every process that came of the components and still runs, tasks included."""
        return [pid for process in self._processes for pid in process.members()]

    def _start(self) -> None:
        (self.home / "dags").mkdir(parents=True, exist_ok=True)
        # Else each component would write one, all at the same time.
        (self.home / "airflow.cfg").write_text("# The settings are in the environment.\n")
        self._make_database()
        for component, arguments in COMPONENTS.items():
            self._run(component, *arguments)
        self.wait(self.is_healthy, START_TIMEOUT, "Airflow's start")
        # Loads the API that tasks talk to; else the first task would wait for that.
        self._send("GET", "/execution/health")
        self.log_in()

    def _make_database(self) -> None:
        """Migrate an empty database, or take the one that was migrated by this Airflow earlier."""
        database = self.home / "airflow.db"
        migrated = Path(sys.prefix) / f"airflow-{version('apache-airflow-core')}.db"
        if migrated.exists():
            shutil.copyfile(migrated, database)
            return
        migration = self._run("db-migrate", "db", "migrate")
        wait_until(lambda: not migration.alive, START_TIMEOUT, "airflow db migrate")
        migration.kill_all()
        if migration.returncode:
            raise StackError(f"airflow db migrate failed:\n{migration.tail()}")
        self._processes.remove(migration)
        with tempfile.TemporaryDirectory(dir=sys.prefix) as unfinished:
            shutil.copyfile(database, Path(unfinished) / "airflow.db").replace(migrated)

    def _run(self, name: str, *arguments: str) -> Process:
        logs = self.home / "components"
        logs.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "airflow", *arguments]
        with self._interruption.postponed():
            process = Process(name, command, env=self.env, cwd=self.home, log=logs / f"{name}.log")
            self._processes.append(process)
        return process

    def kill(self, component: str) -> None:
        """End a component with all that came of it at once, without a word to it: its machine is gone."""
        (process,) = (process for process in self._processes if process.name == component)
        process.kill_all()
        self._processes.remove(process)

    def terminate(self, component: str) -> None:
        """Ask a component to end, as whoever restarts its machine does, and wait for it."""
        (process,) = (process for process in self._processes if process.name == component)
        stop_all([process], grace=STOP_TIMEOUT, hurry=lambda: False)
        self._processes.remove(process)

    def start(self, component: str, *, name: str | None = None) -> None:
        """Start a component again, or one more of its kind under another name."""
        self._run(name or component, *COMPONENTS[component])

    def stop(self, timeout: float | None = None) -> None:
        """Ask the components to end, wait, and end by force what is left, tasks included."""

        def hurry() -> bool:
            # The API server takes seconds to leave when it has closed its socket, and then serves nobody any more.
            awaited = [process for process in self._processes if process.name != "api-server"]
            return self._interruption.hurry or not any(process.alive for process in awaited)

        stop_all(self._processes, grace=STOP_TIMEOUT if timeout is None else timeout, hurry=hurry)

    def wait(self, condition: Callable[[], T | None], timeout: float, what: str, *, every: float = 0.2) -> T:
        """Wait as `wait_until` does, but end at once with the reason if a component dies."""

        def poll() -> T | None:
            for process in self._processes:
                if not process.alive:
                    raise StackError(f"{what}: Airflow's {process.name} died:\n{process.tail()}")
            return condition()

        try:
            return wait_until(poll, timeout, what, every=every)
        except StackError as error:
            raise StackError(f"{error}\n(logs: {self.home})") from None

    def cli(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `airflow` on the command line, as a user of this Airflow would."""
        command = [sys.executable, "-m", "airflow", *arguments]
        options: dict[str, Any] = {"env": self.env, "cwd": self.home, "stdin": subprocess.DEVNULL, "timeout": timeout}
        return subprocess.run(command, capture_output=True, text=True, check=False, **options)
