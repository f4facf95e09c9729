"""Starts commands, each in a session of its own, and stops all that came of them.

Airflow's task processes leave their parent's process group, but not its session: the session is what tells
which processes are ours. Nothing else is ever signalled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import psutil  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

T = TypeVar("T")


class StackError(Exception):
    """Something that was started did not do what it should; the message says what it wrote."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or a request to end."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


class Interruption:
    """Turns the first request to end into an exception, and lets a second one only hurry the clean-up.

    A terminal, `make` and a CI runner may each pass the same request on: the clean-up must survive that.
    """

    def __init__(self) -> None:
        self.seen = 0
        self._postponing = False
        self._postponed: int | None = None

    def __call__(self, signum: int, _: FrameType | None) -> None:
        """Handle a signal."""
        self.seen += 1
        if self.seen > 1:
            return
        if not self._postponing:
            raise Interrupted(signum)
        self._postponed = signum

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """Let a block end first: what it starts must be known before it can be stopped."""
        self._postponing = True
        try:
            yield
        finally:
            self._postponing = False
        if self._postponed is not None:
            signum, self._postponed = self._postponed, None
            raise Interrupted(signum)

    @property
    def hurry(self) -> bool:
        """Whether a second request has come."""
        return self.seen > 1


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Raise `Interrupted` on Ctrl-C, SIGTERM and a closed terminal, even where they were inherited as ignored."""
    interruption = Interruption()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {signum: signal.signal(signum, interruption) for signum in signals}
    try:
        yield interruption
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def wait_until(condition: Callable[[], T | None], timeout: float, what: str, *, every: float = 0.2) -> T:
    """Return the first value of `condition` that is true, or raise `StackError` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise StackError(f"{what}: not within {timeout:g} s")
        time.sleep(every)
    return value


def runs(pid: int) -> bool:
    """Tell whether a process has not ended yet; one that has may stay on the list until its parent reaps it."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def members(session: int) -> list[int]:
    """Return every process of a session that still runs."""
    pids: list[int] = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == session and runs(pid):
                pids.append(pid)
    return pids


def kill_session(session: int, what: str) -> None:
    """End whatever is left of a session, at once."""

    def kill_all() -> bool:
        pids = members(session)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    # A process may be born while the others are ended: look again until none is left.
    wait_until(kill_all, 30, f"end of {what} (pid {session})", every=0.02)


class Process:
    """One command in a session of its own, with its output in a file."""

    def __init__(self, name: str, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> None:
        self.name = name
        self.log = log
        self._ended = False
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The pid of the command, which is also the number of its session."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether the command still runs."""
        # Popen.poll() would reap it and free its pid, which then could become somebody else's session.
        return not self._ended and runs(self.pid)

    @property
    def returncode(self) -> int | None:
        """The exit code, known once all has ended."""
        return self._popen.returncode

    def members(self) -> list[int]:
        """Return every process of the session that still runs."""
        return [] if self._ended else members(self.pid)

    def tail(self) -> str:
        """Return the end of what it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])

    def kill_all(self) -> None:
        """End whatever is left of the session, at once."""
        if not self._ended:
            kill_session(self.pid, self.name)
            self._popen.wait()
            self._ended = True


def stop_all(processes: Sequence[Process], *, grace: float, hurry: Callable[[], bool]) -> None:
    """Ask all to end, wait up to `grace` seconds or until somebody hurries, then end what is left."""
    for process in processes:
        if process.alive:
            os.kill(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while any(process.alive for process in processes) and time.monotonic() < deadline and not hurry():
        time.sleep(0.05)
    for process in processes:
        process.kill_all()
