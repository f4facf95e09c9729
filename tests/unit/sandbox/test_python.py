"""The Python class: what only it has, and that it is safe to use from tests of all kinds."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sandbox.request_log import RequestLog

from .client import EXAMPLE_ID, Client, accepted


def test_several_sandboxes_are_independent() -> None:
    with Sandbox() as first, Sandbox(api_key="second") as second:
        assert first.port != second.port
        with Client(first) as client:
            accepted(client.rerun())
        with Client(second) as client:
            assert client.get().status_code == 200
        assert [first.order(EXAMPLE_ID)["reruns_accepted"], second.order(EXAMPLE_ID)["reruns_accepted"]] == [1, 0]
        assert [len(first.request_log), len(second.request_log)] == [1, 1]


def test_restart_keeps_address_and_state() -> None:
    sandbox = Sandbox(speed=0).start()
    url = sandbox.url
    with Client(sandbox) as client:
        accepted(client.rerun())
        sandbox.stop()
        with pytest.raises(requests.ConnectionError):
            client.get()
        assert sandbox.start() is sandbox.start()
        assert sandbox.url == url
        assert client.get().status_code == 200
    assert sandbox.order(EXAMPLE_ID)["reruns_accepted"] == 1
    sandbox.stop()
    sandbox.stop()


def test_port_in_use_raises(ollang: Sandbox) -> None:
    with pytest.raises(OSError, match="address already in use"):
        Sandbox(port=ollang.port).start()
    alive = [thread.name for thread in threading.enumerate() if thread.name == "ollang-sandbox"]
    assert len(alive) == 1


def test_stop_leaves_no_thread() -> None:
    with Sandbox():
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "ollang-sandbox"]


def test_serve_in_a_running_loop() -> None:
    async def use() -> int:
        sandbox = Sandbox()
        await sandbox.serve()
        try:
            answer = await asyncio.to_thread(requests.get, f"{sandbox.url}/health", timeout=10)
        finally:
            await sandbox.close()
        return answer.status_code

    assert asyncio.run(use()) == 200


def test_sandbox_is_thread_safe(ollang: Sandbox) -> None:
    def work(number: int) -> int:
        order_id = ollang.add_order(id=f"order-{number}")
        with Client(ollang) as client:
            accepted(client.rerun(order_id))
            ollang.change_order(order_id, name="Changed")
            return client.get(order_id).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(work, range(100))) == {200}
    assert len(ollang.requests("POST", "*/rerun")) == 100
    assert [entry.n for entry in ollang.request_log] == list(range(1, 201))


def test_requests_filters_the_request_log(ollang: Sandbox, client: Client) -> None:
    client.get()
    client.rerun()
    client.ask("GET", "/integration/orders?filter[type]=cc")
    assert [entry.n for entry in ollang.requests("GET")] == [1, 3]
    assert [entry.n for entry in ollang.requests(path="*/rerun")] == [2]
    assert [request.n for request in ollang.requests(after=1)] == [2, 3]
    assert ollang.requests() == ollang.request_log
    assert ollang.last_request == len(ollang.request_log) == 3


def test_order_without_id_gets_one(ollang: Sandbox, client: Client) -> None:
    ids = [ollang.add_order() for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(len(order_id) == 24 and int(order_id, 16) for order_id in ids)
    assert {client.get(order_id).status_code for order_id in ids} == {200}


def test_added_order_is_a_copy(ollang: Sandbox, client: Client) -> None:
    mine = {"id": "mine", "finance": {"paymentAmount": 1}}
    ollang.add_order(mine)
    mine["finance"]["paymentAmount"] = 2  # type: ignore[index]
    ollang.order("mine")["order"]["finance"]["paymentAmount"] = 3
    assert client.order("mine")["finance"] == {"paymentAmount": 1}


def test_connection() -> None:
    sandbox = Sandbox(port=8075, api_key="s3cr t/@")
    expected = {"conn_type": "ollang", "host": "http://127.0.0.1", "port": 8075, "password": "s3cr t/@"}
    assert sandbox.connection == expected
    assert json.loads(sandbox.connection_json) == expected


@pytest.mark.parametrize(
    ("host", "url", "extra"),
    [
        ("127.0.0.1", "http://127.0.0.1:8075", None),
        ("localhost", "http://localhost:8075", None),
        ("0.0.0.0", "http://127.0.0.1:8075", None),  # noqa: S104 - what is tested
        ("::", "http://[::1]:8075", None),
        ("::1", "http://[::1]:8075", None),
        ("10.1.2.3", "http://10.1.2.3:8075", {"allow_http": True}),
    ],
)
def test_url(host: str, url: str, extra: dict[str, bool] | None) -> None:
    sandbox = Sandbox(host=host, port=8075)
    assert sandbox.url == url
    assert sandbox.connection.get("extra") == extra


def test_request_log_drops_the_oldest() -> None:
    log = RequestLog(kept=10)
    for _ in range(15):
        log.add(time="", method="GET", path="/", connection=1, authorized=True)
    assert [request.n for request in log.after(12)] == [13, 14, 15]
    assert [request.n for request in log.after()] == list(range(6, 16))
    log.clear()
    assert log.after() == []


def test_sandbox_imports_nothing_of_airflow() -> None:
    program = (
        "import sys, airflow_provider_ollang.sandbox.cli;"
        "print([name for name in sys.modules if name.split('.')[0] == 'airflow'])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.strip() == "[]"
