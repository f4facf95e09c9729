"""`python -m airflow_provider_ollang.sandbox`, as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sandbox.cli import main

from .client import EXAMPLE_ID


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "airflow_provider_ollang.sandbox", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cli_serves_until_a_signal(number: signal.Signals) -> None:
    with started("--port", "0", "--api-key", "mine", "--speed", "0", "--behaviour", '{"no_credits": 402}') as process:
        first, second, third = line_of(process), line_of(process), line_of(process)
        url = first.removeprefix("Ollang sandbox listening on ")
        assert url.startswith("http://127.0.0.1:")
        name, _, value = second.partition("=")
        assert (name, value[0], value[-1]) == ("export AIRFLOW_CONN_OLLANG_DEFAULT", "'", "'")
        assert third == "export OLLANG_POKE_INTERVAL=2"
        connection = json.loads(value[1:-1])
        assert connection == {
            "conn_type": "ollang",
            "host": "http://127.0.0.1",
            "port": int(url.rpartition(":")[2]),
            "password": "mine",
        }
        order = f"{url}/integration/orders/{EXAMPLE_ID}"
        with requests.Session() as session:
            assert session.get(order, headers={"X-Api-Key": "mine"}, timeout=10).status_code == 200
            assert session.post(f"{order}/rerun", headers={"X-Api-Key": "mine"}, timeout=10).status_code == 402
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)
        assert (process.returncode, output, errors) == (0, "", "")


def test_cli_with_tls() -> None:
    with started("--port", "0", "--tls") as process:
        url = line_of(process).removeprefix("Ollang sandbox listening on ")
        connection = json.loads(line_of(process).partition("=")[2][1:-1])
        bundle = connection["extra"]["ca_bundle"]
        line_of(process)
        assert bundle in line_of(process)
        assert (connection["host"], url.startswith("https://")) == ("https://127.0.0.1", True)
        assert requests.get(f"{url}/health", verify=bundle, timeout=10).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("host", ["port", "files_port"])
def test_port_in_use_is_one_line(ollang: Sandbox, capfd: pytest.CaptureFixture[str], host: str) -> None:
    port = str(getattr(ollang, host))
    assert main(["--port", "0", f"--{host.replace('_', '-')}", port]) == 1
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    assert port in errors
    assert "address already in use" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--behaviour", '{"end_stats": 1}'], "did you mean 'end_status'?"),
        (["--port", "99999"], "port must be 0-65535"),
        (["--host", "no.such.host.invalid"], "cannot start"),
    ],
)
def test_wrong_arguments_are_one_line(capfd: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["--port", "0", *arguments]) == 1
    errors = capfd.readouterr().err
    assert errors.count("\n") == 1
    assert message in errors


def test_describe(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--describe"]) == 0
    assert "| `end_status` |" in capfd.readouterr().out
