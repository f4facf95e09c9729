"""A host of several addresses, the first of which answers nothing: the next one is used, and its answer believed."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from airflow_provider_ollang.client import sync as transport
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

from .servers import dead_route

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
HOLE = "127.0.0.9"


def test_a_dead_address_costs_time_and_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def two(host: str, port: Any, *arguments: Any, **named: Any) -> Any:
        if host != "two.localhost":
            return look_up(host, port, *arguments, **named)
        return look_up(HOLE, port, *arguments, **named) + look_up("127.0.0.1", port, *arguments, **named)

    with Sandbox(speed=0) as ollang, dead_route(HOLE, ollang.port):
        monkeypatch.setattr(socket, "getaddrinfo", two)
        monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.5)
        connection = {"conn_type": "ollang", "host": f"http://two.localhost:{ollang.port}", "password": ollang.api_key}
        monkeypatch.setenv("AIRFLOW_CONN_OLLANG_TWO", json.dumps({**connection, "extra": {"max_attempts": 1}}))
        hook = OllangHook("ollang_two")
        assert hook.get_order(ORDER)["status"] == "completed"
        assert hook.rerun_order(ORDER)["order_id"] == ORDER
        assert ollang.order(ORDER)["reruns_accepted"] == 1
        hook.close()
