"""The pure parts of the harness that starts Airflow, and what it does with processes and signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from dev.processes import Interrupted, Process, StackError, interruptible, runs, stop_all, wait_until
from dev.stack import AirflowStack, environment, free_port, settings


def test_free_port_is_none_of_outgoing_connections() -> None:
    port = free_port()
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
    assert 20000 <= port < 32000


def test_settings_follow_home_port_and_folders(tmp_path: Path) -> None:
    found = settings(tmp_path, [Path("/x/example_dags"), Path("/y/dags")], 12345)
    assert found["AIRFLOW_HOME"] == str(tmp_path)
    assert found["AIRFLOW__API__PORT"] == "12345"
    assert found["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:12345/execution/"
    bundles = json.loads(found["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert {bundle["name"]: bundle["kwargs"]["path"] for bundle in bundles} == {
        "dags-example_dags": "/x/example_dags",
        "dags-dags": "/y/dags",
    }


def test_secrets_differ_from_stack_to_stack(tmp_path: Path) -> None:
    one, other = (settings(tmp_path, [], 12345) for _ in range(2))
    for name in ("AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY", "AIRFLOW__CORE__FERNET_KEY"):
        assert one[name] != other[name]


def test_environment_of_the_caller_does_not_leak() -> None:
    caller = {
        "AIRFLOW__CORE__FERNET_KEY": "theirs",
        "AIRFLOW_CONN_OLLANG_DEFAULT": "theirs",
        "OLLANG_API_KEY": "theirs",
        "PYTHONPATH": "/theirs",
        "HOME": "/home/me",
        "PATH": "/usr/bin",
        "HTTPS_PROXY": "http://proxy:3128",
        "no_proxy": "intranet",
    }
    found = environment(caller, {"AIRFLOW_HOME": "/ours"})
    assert "theirs" not in " ".join(found.values())
    assert found["HOME"] == "/home/me"
    assert found["HTTPS_PROXY"] == "http://proxy:3128"
    assert found["NO_PROXY"] == found["no_proxy"] == "intranet,127.0.0.1,localhost"
    assert found["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]


class Answer:
    """An answer of Airflow's log endpoint."""

    ok = True
    text = "\n".join(
        json.dumps(entry)
        for entry in (
            {"event": "::group::Pre Execute"},
            {"level": "info", "event": "Order 1 is ongoing.", "logger": "x", "lineno": 3, "looks": 2},
            {"level": "error", "event": "Task failed", "error_detail": [{"exc_type": "E", "exc_value": "why"}]},
        )
    )


def test_log_is_shown_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = AirflowStack(home=tmp_path, dags_folders=[])
    monkeypatch.setattr(stack, "request", lambda *_, **__: Answer())
    assert stack.logs("dag", "run", "task").splitlines() == [
        'INFO Order 1 is ongoing. {"looks": 2}',
        "ERROR Task failed",
        "  E: why",
    ]


def test_waiting_too_long_names_what_for() -> None:
    assert wait_until(lambda: "answer", 1, "it") == "answer"
    with pytest.raises(StackError, match=r"the moon: not within 0\.01 s"):
        wait_until(lambda: None, 0.01, "the moon", every=0.001)


def test_first_signal_interrupts_second_only_hurries() -> None:
    before = signal.getsignal(signal.SIGTERM)
    hurry = []
    with interruptible() as interruption:
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), signal.SIGTERM)
        hurry.append(interruption.hurry)
        os.kill(os.getpid(), signal.SIGINT)
        hurry.append(interruption.hurry)
    assert caught.value.exit_code == 143
    assert hurry == [False, True]
    assert signal.getsignal(signal.SIGTERM) == before


def test_start_is_finished_before_the_interruption() -> None:
    started: list[str] = []

    def start_it() -> None:
        with interruption.postponed():
            os.kill(os.getpid(), signal.SIGTERM)
            started.append("it")

    with interruptible() as interruption, pytest.raises(Interrupted):
        start_it()
    assert started == ["it"]


# A parent that ignores SIGTERM, and a child of it in a process group of its own, as Airflow's tasks are.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setpgid(0, 0)
    if os.fork() == 0:
        os.setpgid(0, 0)
print("up", flush=True)
time.sleep(600)
"""


def start(tmp_path: Path, code: str) -> Process:
    return Process("it", [sys.executable, "-c", code], env=dict(os.environ), cwd=tmp_path, log=tmp_path / "it.log")


def test_stopping_ends_all_descendants_and_nothing_else(tmp_path: Path) -> None:
    bystander = start(tmp_path, "import time; time.sleep(600)")
    process = start(tmp_path, STUBBORN)
    wait_until(lambda: process.tail().count("up") == 3, 20, "three processes")
    members = process.members()
    assert len(members) == 3
    stop_all([process], grace=0.2, hurry=lambda: False)
    assert not process.alive
    assert not [pid for pid in members if runs(pid)]
    assert bystander.alive
    stop_all([process, bystander], grace=10, hurry=lambda: False)
    assert not bystander.alive


def test_hurried_stop_does_not_wait(tmp_path: Path) -> None:
    process = start(tmp_path, STUBBORN)
    wait_until(lambda: process.tail().count("up") == 3, 20, "three processes")
    stop_all([process], grace=600, hurry=lambda: True)
    assert not process.alive


def test_dead_component_is_named_with_its_last_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dev.stack.COMPONENTS", {"scheduler": ("no-such-command",)})
    stack = AirflowStack(home=tmp_path, dags_folders=[])
    with pytest.raises(StackError, match=r"(?s)scheduler died.*invalid choice: 'no-such-command'"), stack:
        pytest.fail("it cannot have started")
    assert stack.members() == []
