"""Polls the benchmarks' server with one client from one event loop, and prints what that cost: run by `Server.poll`."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import random
import sys
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import psutil  # type: ignore[import-untyped]

from benchmarks.server import order_id

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from airflow.triggers.base import BaseTrigger

    Poll = Callable[[int, float], Coroutine[Any, Any, None]]

FAR_OFF = 86400.0


def trigger() -> Poll:
    """Return waits by this provider's trigger, which spreads its first looks itself."""
    from airflow_provider_ollang.domain.goals import StatusGoal  # noqa: PLC0415
    from airflow_provider_ollang.domain.polling import PollConfig  # noqa: PLC0415
    from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger  # noqa: PLC0415 - others do without

    async def poll(number: int, interval: float) -> None:
        await _run(
            OllangOrderStatusTrigger(
                ollang_conn_id="ollang_default",
                order_id=order_id(number),
                config=PollConfig(order_id="", poll_interval=interval).to_json(),
                goal=StatusGoal().to_json(),
            )
        )

    return poll


def dbt_cloud() -> Poll:
    """Return waits by dbt Cloud's trigger."""
    from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger  # noqa: PLC0415 - others do without

    async def poll(number: int, interval: float) -> None:
        await asyncio.sleep(random.uniform(0, interval))  # noqa: S311
        await _run(
            DbtCloudRunJobTrigger(
                conn_id="dbt_cloud_default",
                run_id=number,
                end_time=time.time() + FAR_OFF,
                poll_interval=interval,
                account_id=1,
            )
        )

    return poll


def bare() -> Poll:
    """Return loops over one shared session that read the order's status and nothing else."""
    connection = json.loads(os.environ["AIRFLOW_CONN_OLLANG_DEFAULT"])
    base_url = f"{connection['host']}:{connection['port']}/integration/orders/"
    sessions: list[aiohttp.ClientSession] = []

    async def poll(number: int, interval: float) -> None:
        if not sessions:
            sessions.append(aiohttp.ClientSession(headers={"X-Api-Key": connection["password"]}))
        await asyncio.sleep(random.uniform(0, interval))  # noqa: S311
        while True:
            async with sessions[0].get(base_url + order_id(number)) as response:
                response.raise_for_status()
                if (await response.json())["status"] == "completed":
                    return
            await asyncio.sleep(interval)

    return poll


CLIENTS = {"trigger": trigger, "dbt-cloud": dbt_cloud, "aiohttp": bare}


async def _run(waiting: BaseTrigger) -> None:
    async for event in waiting.run():
        raise AssertionError(f"a wait ended: {event}")


class Tracer:
    """Notes when each request left, when its answer was there, and which was a 429; for any use of `aiohttp`."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.answered: list[float] = []
        self.limited: list[tuple[float, float]] = []
        make = aiohttp.ClientSession.__init__

        def traced(session: aiohttp.ClientSession, *args: Any, **kwargs: Any) -> None:
            kwargs["trace_configs"] = [*(kwargs.get("trace_configs") or []), self._config()]
            make(session, *args, **kwargs)

        aiohttp.ClientSession.__init__ = traced  # type: ignore[assignment,method-assign]

    def _config(self) -> aiohttp.TraceConfig:
        async def left(*_: Any) -> None:
            self.sent.append(time.monotonic())

        async def came(_session: Any, _context: Any, params: aiohttp.TraceRequestEndParams) -> None:
            self.answered.append(time.monotonic())
            if params.response.status == 429:
                self.limited.append((self.answered[-1], float(params.response.headers["Retry-After"])))

        config = aiohttp.TraceConfig()
        config.on_request_headers_sent.append(left)
        config.on_request_end.append(came)
        return config


async def measure(poll: Poll, waits: int, interval: float, warm: float, seconds: float) -> dict[str, float]:
    """Let many wait; count CPU after a time to warm up, and memory from before the first wait."""
    memory = psutil.Process().memory_info
    gc.collect()
    bytes_before, begun = memory().rss, time.time()
    tasks = [asyncio.create_task(poll(number, interval)) for number in range(waits)]
    await asyncio.sleep(warm)
    cpu_before, since = time.process_time(), time.time()
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    cpu, until = time.process_time() - cpu_before, time.time()
    memory_of_waits = memory().rss - bytes_before
    for task in tasks:
        if task.done():
            task.result()
            raise AssertionError("a wait ended")
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {"cpu": cpu, "begun": begun, "since": since, "until": until, "bytes": memory_of_waits}


def main(client: str, waits: str, *seconds: str) -> None:
    """Run one client; the arguments are those of `measure`."""
    # To write a log costs more than a poll, and not every client writes one.
    logging.disable(logging.WARNING)
    # Not in measurements of CPU: a trace costs as much as some clients' own work.
    tracer = Tracer() if client.endswith("+trace") else None
    poll = CLIENTS[client.removesuffix("+trace")]()
    interval, warm, length = (float(number) for number in seconds)
    measured: dict[str, Any] = asyncio.run(measure(poll, int(waits), interval, warm, length))
    if tracer is not None:
        measured |= {"sent": tracer.sent, "answered": tracer.answered, "limited": tracer.limited}
    print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
