"""What the demo says, and when it does not begin."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dev import demo, story
from dev.demo import Live, Run
from dev.processes import StackError
from dev.story import Stage, TaskPart

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"


def entry(n: int, time: str, method: str = "GET", path: str = f"/integration/orders/{ORDER}") -> dict[str, Any]:
    return {"n": n, "time": f"2026-01-01T00:00:{time}Z", "method": method, "path": path, "status": 200}


def history(*lines: tuple[str, str]) -> list[dict[str, str]]:
    return [{"time": f"2026-01-01T00:00:{time}Z", "status": status} for time, status in lines]


REPORT: dict[str, Any] = {
    "order": {
        "id": ORDER,
        "orderDocs": [
            {"name": "Source", "updatedAt": "2025-01-01T00:00:00.000Z"},
            {"name": "Subtitles (run 2)", "updatedAt": "2026-01-01T00:00:42.000Z"},
        ],
    },
    "history": history(("00.000", "completed"), ("15.000", "ongoing"), ("40.000", "completed")),
}
REQUEST_LOG = [
    entry(1, "05.000"),
    entry(2, "10.000", "POST", f"/integration/orders/{ORDER}/rerun"),
    entry(3, "11.000"),
    entry(4, "12.000"),
    entry(5, "20.000"),
    entry(6, "41.000"),
    entry(7, "50.000"),
    entry(8, "50.000", path="/integration/orders/another"),
]


def test_each_look_is_counted_where_it_fell() -> None:
    assert story.stages(REPORT, REQUEST_LOG) == [
        Stage(0.0, "completed", "still says completed, same files: not believed", 2),
        Stage(5.0, "ongoing", "at work", 1),
        Stage(30.0, "completed", "says completed, the new files are not there yet: waited for", 1),
        Stage(32.0, "completed", "new files: Subtitles (run 2)", 1),
    ]


def test_files_that_come_with_the_status_make_one_stage() -> None:
    at_once = {**REPORT, "order": {"id": ORDER, "orderDocs": [{"name": "A", "updatedAt": "2026-01-01T00:00:40.000Z"}]}}
    assert [stage.meaning for stage in story.stages(at_once, REQUEST_LOG)][-1] == "new files: A"


def test_a_rerun_that_failed_is_not_called_work() -> None:
    failed = {**REPORT, "history": history(("00.000", "completed"), ("15.000", "failed"))}
    assert story.stages(failed, REQUEST_LOG)[1].meaning == "the rerun came to nothing"


def test_without_an_accepted_rerun_there_is_no_story() -> None:
    refused = [{**one, "status": 400} if one["method"] == "POST" else one for one in REQUEST_LOG]
    assert story.stages(REPORT, refused) == []


def test_a_stage_is_one_line() -> None:
    stage = Stage(0.0, "completed", "still says completed, same files: not believed", 1)
    assert story.stage_lines([stage]) == [
        "     0.0 s  completed    still says completed, same files: not believed (1 look)"
    ]


def test_a_task_is_told_with_what_it_got() -> None:
    got = {"rerun": {"order_id": ORDER, "result": None}}
    part = TaskPart("wait", "success", 12.34, 3, got=got, returned={"x": 1}, is_last=True)
    assert story.task_lines([part]) == [
        "  wait                     success      12.3 s   3 worker starts",
        f"      got from rerun: order_id {ORDER}",
        "      returned: x 1",
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": 1, "b": None, "c": {"d": 1}}, "a 1, c {…}"),
        ([{"name": "one"}, {"name": "two"}], "[one, two]"),
        (list(range(6)), "[0, 1, 2, 3, 2 more]"),
        ("x" * 100, "x" * 57 + "…"),
    ],
)
def test_values_are_shown_in_few_words(value: object, words: str) -> None:
    assert story.compact(value) == words


def test_the_evidence_is_explained() -> None:
    lines = story.evidence_lines({"evidence": ["event", "something new"], "outputs_changed": True})
    assert lines == [
        "  event        the order has a delivery event that is later than the rerun",
        "  something new",
        "  outputs changed: True",
    ]
    assert story.evidence_lines(None) == ["  none is given"]


def test_the_proof_has_its_form() -> None:
    assert story.proof(reruns=1, requests=9, connections=7, starts=4, leaks=0) == (
        "proof: reruns accepted 1 · requests 9 on 7 connections · worker starts 4 · "
        "key or link signatures found in Airflow's logs 0"
    )


GOOD = Run("success", [TaskPart("wait", "success", 1.0, 1, returned={"evidence": ["event"]})], 1, "")
NO_EVIDENCE = Run("success", [TaskPart("wait", "success", 1.0, 1, returned={"evidence": []})], 1, "")
FAILED = Run("failed", GOOD.all_tasks, 1, "wait:\nwhy it failed")


@pytest.mark.parametrize(
    ("run", "reruns", "leaks", "words"),
    [
        (GOOD, 1, [], ""),
        (GOOD, 2, [], "2 reruns were accepted, not 1"),
        (GOOD, 1, ["logs/a: API key"], "logs/a: API key"),
        (NO_EVIDENCE, 1, [], "no task gave evidence"),
        (FAILED, 1, [], "why it failed"),
    ],
)
def test_the_demo_fails_unless_all_is_right(
    run: Run, reruns: int, leaks: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.verdict(run, reruns, leaks, []) == (1 if words else 0)
    assert words in capsys.readouterr().err


def test_the_live_connection_has_key_and_nothing_that_is_not_said() -> None:
    assert json.loads(Live("secret", ORDER).connection) == {"conn_type": "ollang", "password": "secret"}
    with_host = json.loads(Live("secret", ORDER, host="http://127.0.0.1:8075").connection)
    assert with_host["host"] == "http://127.0.0.1:8075"


def test_live_takes_key_and_order_both() -> None:
    assert demo.live_order({}) is None
    assert demo.live_order({"OLLANG_API_KEY": "k", "ORDER_ID": " x "}) == Live("k", "x")
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
def test_the_live_service_is_asked_for_before_anything_is_sent(
    confirm: str, answer: str | None, goes_on: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: answer is not None)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert demo.is_confirmed(Live("secret", ORDER), {"CONFIRM": confirm}) is goes_on
    said = capsys.readouterr().out
    assert said.startswith(f"This reruns order {ORDER} on the LIVE service. The rerun may be billed.")
    assert "secret" not in said
    assert ("Nothing was sent." in said) is not goes_on
