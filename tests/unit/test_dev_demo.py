"""When the demo fails, what it tells of the order, and that the live service is not used unasked."""

from __future__ import annotations

from typing import Any

import pytest

from dev import demo
from dev.demo import Run
from dev.processes import StackError

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
PATH = f"/integration/orders/{ORDER}"


def request(n: int, time: str, path: str = PATH, status: int = 200) -> dict[str, Any]:
    return {"n": n, "time": f"2026-01-01T00:00:{time}Z", "path": path, "status": status}


REPORT: dict[str, Any] = {
    "order": {
        "id": ORDER,
        "orderDocs": [
            {"name": "Source", "updatedAt": "2025-01-01T00:00:00.000Z"},
            {"name": "Subtitles (run 2)", "updatedAt": "2026-01-01T00:00:42.000Z"},
        ],
    },
    "history": [
        {"time": f"2026-01-01T00:00:{time}.000Z", "status": status}
        for time, status in (("00", "completed"), ("15", "ongoing"), ("40", "completed"))
    ],
}
REQUESTS = [
    request(1, "05.000"),
    request(2, "10.000", f"{PATH}/rerun"),
    request(3, "11.000"),
    request(4, "12.000"),
    request(5, "20.000"),
    request(6, "41.000"),
    request(7, "50.000"),
    request(8, "50.000", "/integration/orders/another"),
]


def test_timeline_counts_polls_between_changes() -> None:
    assert demo.timeline(REPORT, REQUESTS) == [
        "     0.0 s  still completed, with its previous result (polled 2 times)",
        "     5.0 s  ongoing (polled 1 times)",
        "    30.0 s  completed (polled 1 times)",
        "    32.0 s  new files: Subtitles (run 2) (polled 1 times)",
    ]


def test_timeline_without_accepted_rerun_is_empty() -> None:
    refused = [{**entry, "status": 400} if entry["path"].endswith("rerun") else entry for entry in REQUESTS]
    assert demo.timeline(REPORT, refused) == []


def run(state: str = "success", evidence: tuple[str, ...] = ("event",)) -> Run:
    return Run(state, [{"task_id": "wait", "returned": {"evidence": evidence}, "worker_starts": 1}])


@pytest.mark.parametrize(
    ("finished", "reruns", "leaks", "reason"),
    [
        (run(), 1, [], ""),
        (run(), 2, [], "2 reruns were accepted, not 1"),
        (run(), 1, ["logs/a: API key"], "logs/a: API key"),
        (run(evidence=()), 1, [], "no task gave evidence"),
        (run("failed"), 1, [], "the run ended as 'failed'"),
    ],
)
def test_demo_fails_unless_all_is_right(
    finished: Run, reruns: int, leaks: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.verdict(finished, reruns, leaks, []) == (1 if reason else 0)
    assert reason in capsys.readouterr().err


def test_live_service_takes_both_key_and_order() -> None:
    assert demo.live_order({}) is None
    assert demo.live_order({"OLLANG_API_KEY": "k", "ORDER_ID": " x "}) == ("k", "x")
    with pytest.raises(StackError, match="ORDER_ID is not set"):
        demo.live_order({"OLLANG_API_KEY": "k"})
    with pytest.raises(StackError, match="OLLANG_API_KEY is not set"):
        demo.live_order({"ORDER_ID": "x"})


@pytest.mark.parametrize(
    ("confirm", "answer", "goes_on"),
    [
        ("", None, False),
        ("no", None, False),
        ("yes", None, True),
        ("", "", False),
        ("", "n", False),
        ("", " Y ", True),
    ],
)
def test_live_rerun_waits_for_confirmation(
    confirm: str, answer: str | None, goes_on: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: answer is not None)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert demo.is_confirmed(ORDER, {"CONFIRM": confirm}) is goes_on
    printed = capsys.readouterr().out
    assert printed.startswith(f"This reruns order {ORDER} on the LIVE service. The rerun may be billed.")
    assert ("Nothing was sent." in printed) is not goes_on
