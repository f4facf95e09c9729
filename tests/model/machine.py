"""The machine on which tasks and triggers run: it knows what dies, what goes wrong, and whose alarm rings when."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import AirflowTaskTimeout
from airflow_provider_ollang.client import connections
from airflow_provider_ollang.client.aio import OllangAsyncClient
from airflow_provider_ollang.client.sync import OllangClient
from tests.model.scenario import WIRE
from tests.model.world import World

_MOST_REQUESTS = 2500


class Died(BaseException):
    """The process is gone: nothing of ours catches it."""


class Cleared(Died):
    """The process is gone because its task was cleared."""


class NeverEnds(BaseException):
    """The task goes on and on."""


class Machine:
    """
    What runs processes: it knows what dies, what goes wrong, and whose alarm rings when.

    :param world: the sandbox.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.loop = asyncio.new_event_loop()
        self.begin()

    def begin(self) -> None:
        """Forget what happened so far."""
        self.counts: Counter[str] = Counter()
        self.dead = False
        self.running: BaseOperator | None = None
        #: When a person clears the task, and when its execution_timeout ends its process; milliseconds.
        self.clear_at: int | None = None
        self.timeout_at: int | None = None
        self.timed_out_at: int | None = None
        self.connecting = 0.0
        self._sending = ""

    def point(self, at: str, when: str) -> None:
        """Do what happens before or after a request, or an operation of the store."""
        if self.dead:
            raise Died
        nth = self.counts[at] - (when == "after")
        if when == "before":
            self.counts[at] += 1
            if self.counts["GET"] > _MOST_REQUESTS:
                raise NeverEnds
            if at == "POST" and self.timed_out_at is not None:
                self.world.truth.violations.append("execution_timeout: a paid request after it")
        if self.clear_at is not None and self.world.moment() >= self.clear_at:
            self._die(Cleared())
        for trouble in self.world.scenario.trouble:
            if trouble.at != at or not trouble.nth <= nth < trouble.nth + trouble.times:
                continue
            if trouble.what == f"die {when}":
                self._die(Died())
            if trouble.what == "sigterm" and when == "before" and self.running is not None:
                self.running.on_kill()
            if trouble.what == {"before": "fail", "after": "fail after"}[when]:
                raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    def sleep(self, seconds: float) -> None:
        """Let time pass in a process."""
        if self.dead:
            raise Died
        end = self.world.moment() + round(seconds * 1000)
        if self.clear_at is not None and self.clear_at <= end:
            self._until(self.clear_at)
            self._die(Cleared())
        if self.timeout_at is not None and self.timeout_at <= end:
            self._until(self.timeout_at)
        self.alarm()
        self._until(end)

    def alarm(self) -> None:
        """Interrupt the process if its execution_timeout is over, as a signal does: once."""
        if self.timeout_at is not None and self.world.moment() >= self.timeout_at:
            self.timeout_at, self.timed_out_at = None, self.world.moment()
            raise AirflowTaskTimeout("execution_timeout")

    def _until(self, moment: int) -> None:
        self.world.advance((moment - self.world.moment()) / 1000)

    def _die(self, how: Died) -> None:
        self.dead = True
        raise how

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let the provider run on this machine."""
        machine, world = self, self.world
        send, asend = OllangClient.send, OllangAsyncClient.send
        limited = connections._Connection
        connect, get_response = limited.connect, limited.getresponse

        def sent(self: OllangClient, call: Any, **options: Any) -> Any:
            machine._sending = call.method
            machine.point(call.method, "before")
            answer = send(self, call, **options)
            machine.point(call.method, "after")
            return answer

        async def asent(self: OllangAsyncClient, call: Any, **options: Any) -> Any:
            machine.point(call.method, "before")
            answer = await asend(self, call, **options)
            machine.point(call.method, "after")
            return answer

        def connected(self: Any) -> None:
            if machine._sending == "POST":
                machine._sending = ""
                seconds, machine.connecting = machine.connecting, 0.0
                world.advance(seconds)
                machine.alarm()
            connect(self)

        def got_response(self: Any) -> Any:
            response = get_response(self)
            machine.alarm()
            return response

        async def asleep(seconds: float) -> None:
            machine.sleep(seconds)

        with ExitStack() as stack:
            for owner, name, new in (
                (_clock, "now", lambda: world.moment() / 1000),
                (_clock, "monotonic", lambda: world.moment() / 1000),
                (_clock, "sleep", self.sleep),
                (_clock, "asleep", asleep),
                (OllangClient, "send", sent),
                (OllangAsyncClient, "send", asent),
                (limited, "connect", connected),
                (limited, "getresponse", got_response),
            ):
                stack.enter_context(mock.patch.object(owner, name, new))
            stack.enter_context(
                mock.patch("random.uniform", lambda low, high: low + (high - low) * world.scenario.jitter)
            )
            yield

    def arm(self) -> None:
        """Put the scenario's faults of the wire in force."""
        self.connecting = self.world.scenario.connecting
        for trouble in self.world.scenario.trouble:
            if trouble.what in WIRE:
                self.world.add_fault(trouble.at, skip=trouble.nth, times=trouble.times, **WIRE[trouble.what])


class StateStore:
    """The task state store, as Airflow's accessor gives it to a task."""

    def __init__(self, machine: Machine, kept: dict[str, tuple[str, float | None]]) -> None:
        self._machine, self._kept = machine, kept

    def get(self, key: str, default: Any = None) -> Any:
        self._machine.point("get", "before")
        text, expires = self._kept.get(key, ("", None))
        gone = not text or (expires is not None and expires < _clock.now())
        self._machine.point("get", "after")
        return default if gone else json.loads(text)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self._machine.point("set", "before")
        self._kept[key] = (json.dumps(value), None if retention is None else _clock.now() + retention.total_seconds())
        self._machine.point("set", "after")

    def delete(self, key: str) -> None:
        self._machine.point("delete", "before")
        self._kept.pop(key, None)
        self._machine.point("delete", "after")
