"""What Airflow's REST API tells of DAGs, runs and tasks, and what a person does there."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests

from dev.processes import StackError, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dev.processes import T

#: What every log entry says of itself.
_ROUTINE = (
    *("timestamp", "level", "event", "logger", "filename", "lineno", "ti_id"),
    *("dag_id", "run_id", "task_id", "map_index", "try_number"),
)


class AirflowApi:
    """The REST API of one Airflow, by the address of its API server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        # Neither a proxy nor a .netrc of the user concerns a server on loopback.
        self._session.trust_env = False

    def log_in(self) -> None:
        """Get a token for all further requests."""
        token = _json(self._send("GET", "/auth/token"))["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def is_healthy(self) -> bool:
        """Tell whether all components work."""
        with suppress(requests.RequestException, ValueError, KeyError):
            health = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=10).json()
            return all(health[part]["status"] == "healthy" for part in ("scheduler", "triggerer", "dag_processor"))
        return False

    def wait(self, condition: Callable[[], T | None], timeout: float, what: str, *, every: float = 0.2) -> T:
        """Wait as `wait_until` does."""
        return wait_until(condition, timeout, what, every=every)

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """Send a request to the REST API; `path` begins after `/api/v2`."""
        return self._send(method, f"/api/v2{path}", **kwargs)

    def _send(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        try:
            return self._session.request(method, f"{self.url}{path}", timeout=60, **kwargs)
        except requests.RequestException as error:
            raise StackError(f"{method} {path}: Airflow's API server does not answer ({error})") from None

    def api(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send a request to the REST API and return its JSON; anything but success is a `StackError`."""
        return _json(self.request(method, path, **kwargs))

    def ui(self, path: str) -> Any:
        """Return the JSON that Airflow's UI is served; `path` begins after `/ui`."""
        return _json(self._send("GET", f"/ui{path}"))

    def pages(self, path: str, key: str, **params: Any) -> list[dict[str, Any]]:
        """Return a whole collection, page by page."""
        items: list[dict[str, Any]] = []
        while True:
            page = self.api("GET", path, params={**params, "limit": 100, "offset": len(items)})
            items += page[key]
            if not page[key] or len(items) >= page["total_entries"]:
                return items

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> None:
        """Wait until a DAG is known; if it does not come, tell which files could not be imported."""
        try:
            self.wait(lambda: self.request("GET", f"/dags/{quote(dag_id)}").ok, timeout, f"DAG {dag_id}")
        except StackError as error:
            reasons = ""
            with suppress(StackError):
                broken = self.pages("/importErrors", "import_errors")
                reasons = "".join(f"\n{entry['filename']}:\n{entry['stack_trace']}" for entry in broken)
            raise StackError(f"{error}{reasons}") from None

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run of a DAG, which may yet have to be parsed, and return the run's id."""
        self.wait_for_dag(dag_id)
        body = {"logical_date": None, "conf": dict(conf or {})}
        return str(self.api("POST", f"/dags/{quote(dag_id)}/dagRuns", json=body)["dag_run_id"])

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float) -> str:
        """Wait until a run is over and return its state."""

        def final_state() -> str | None:
            state = str(self.api("GET", _run_path(dag_id, run_id))["state"])
            return state if state in ("success", "failed") else None

        try:
            # Each look takes the API server some ten milliseconds of the processor.
            return self.wait(final_state, timeout, f"end of {dag_id} {run_id}", every=0.5)
        except StackError as error:
            states = ""
            with suppress(StackError):
                states = "".join(
                    f"\n  {task['task_id']}[{task['map_index']}]: {task['state']}, try {task['try_number']}"
                    for task in self.task_instances(dag_id, run_id)
                )
            raise StackError(f"{error}{states}") from None

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the tasks of a run, in the order of their start."""
        tasks = self.pages(f"{_run_path(dag_id, run_id)}/taskInstances", "task_instances")
        return sorted(tasks, key=lambda task: (task["start_date"] or "~", task["map_index"]))

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1, key: str = "return_value") -> Any:
        """Return what a task pushed, or None if it pushed nothing."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/{quote(key)}"
        response = self.request("GET", path, params={"map_index": map_index, "deserialize": True})
        return None if response.status_code == requests.codes.not_found else _json(response)["value"]

    def logs(self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1) -> str:
        """Return a task's log as text, an entry a line: level, words, what else it holds as JSON, its errors."""
        entries = self.log_entries(dag_id, run_id, task_id, try_number=try_number, map_index=map_index)
        lines = [_log_line(entry) for entry in entries]
        return "\n".join(line for line in lines if "::group::" not in line and "::endgroup::" not in line)

    def log_entries(self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1) -> Any:
        """Return a task's log as Airflow keeps it."""
        response = self.request(
            "GET",
            f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/logs/{try_number}",
            params={"map_index": map_index, "full_content": True},
            headers={"Accept": "application/x-ndjson"},
        )
        _require_success(response)
        return [json.loads(line) for line in response.text.splitlines() if line.strip()]

    def clear(self, dag_id: str, run_id: str, task_ids: Sequence[str] | None = None, **options: Any) -> None:
        """Clear tasks of a run, all if none is named, as a person does in the UI."""
        body = {"dry_run": False, "dag_run_id": run_id, "only_failed": False, "reset_dag_runs": True, **options}
        if task_ids is not None:
            body["task_ids"] = list(task_ids)
        self.api("POST", f"/dags/{quote(dag_id)}/clearTaskInstances", json=body)

    def worker_start_events(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return an event for each time that a worker started a task: a try, a return from deferral, a reschedule."""
        return self.pages("/eventLogs", "event_logs", dag_id=dag_id, run_id=run_id, event="running")


def _json(response: requests.Response) -> Any:
    _require_success(response)
    return response.json() if response.content else None


def _require_success(response: requests.Response) -> None:
    if not response.ok:
        request = response.request
        raise StackError(f"{request.method} {response.url}: {response.status_code} {response.text[:2000]}")


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}"


def _log_line(entry: Any) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    rest = {key: value for key, value in entry.items() if key not in _ROUTINE}
    errors = [f"\n  {error['exc_type']}: {error['exc_value']}" for error in rest.pop("error_detail", None) or []]
    parts = [str(entry.get("level", "")).upper(), str(entry.get("event", "")), json.dumps(rest) if rest else ""]
    return " ".join(filter(None, parts)) + "".join(errors)
