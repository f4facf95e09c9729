"""A task that comes back from the triggerer has its result, whatever else is gone, and logs it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, BaseOperator, task

from airflow_provider_ollang._compat import TaskDeferralTimeout
from airflow_provider_ollang.exceptions import (
    OllangOrderFailedError,
    OllangStaleResultError,
    OllangTimeoutError,
    OllangUnavailableError,
)
from airflow_provider_ollang.operators.ollang import OllangGetOrderOperator, OllangRerunOperator
from airflow_provider_ollang.operators.quality import OllangQualityGateOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from tests.installed_airflow import needs_start_in_the_triggerer, needs_task_state_store
from tests.integration.submissions import (
    NO_TRACE,
    ORDER,
    WAITING,
    accepted_reruns,
    at_store,
    fail,
    first_output,
    record,
    rerun_dag,
    state_on_record,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import Run, RunDag

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
pytestmark = pytest.mark.usefixtures("at_once")
in_every_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


def dag_of(*, rerun: bool = False, **arguments: Any) -> DAG:
    with DAG("resuming", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001 - Airflow adds the zone
        source: dict[str, Any] = {"order_id": ORDER}
        if rerun:
            source = {"rerun": OllangRerunOperator(task_id="rerun", order_id=ORDER).output}
        OllangOrderStatusSensor(
            task_id="wait", **{"retries": 1, "retry_delay": 0, "timeout": 3600, **source, **arguments}
        )
    return dag


def at_resume(monkeypatch: pytest.MonkeyPatch, operator: type[BaseOperator], act: Callable[[Any], object]) -> None:
    """Do something to a task of this kind just before it goes on after its deferral."""
    complete: Any = operator.execute_complete  # type: ignore[attr-defined]

    def acting(self: Any, *arguments: Any, **options: Any) -> Any:
        act(self)
        return complete(self, *arguments, **options)

    monkeypatch.setattr(operator, "execute_complete", acting)


def without(*names: str) -> Callable[[Any], None]:
    """Render these templates as Airflow does when the tasks that they come from were cleared."""

    def forget(operator: Any) -> None:
        for name in names:
            setattr(operator, name, None)

    return forget


# --- The sensor ---------------------------------------------------------------------------------------------------


def test_sensor_without_its_receipt_at_resume_has_its_result(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_resume(monkeypatch, OllangOrderStatusSensor, without("rerun", "order_id", "ollang_conn_id"))
    run = run_dag(dag_of(rerun=True, deferrable=True))
    assert (run.states["wait"], run.tries["wait"]) == ("success", 1)
    assert run.results["wait"]["outputs_changed"] is True


def test_sensor_without_receipt_at_resume_raises_wait_error(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour={"end_status": "failed"})
    at_resume(monkeypatch, OllangOrderStatusSensor, without("rerun", "order_id"))
    assert isinstance(run_dag(dag_of(rerun=True, deferrable=True)).errors["wait"], OllangOrderFailedError)


@needs_task_state_store
def test_rescheduled_sensor_without_its_receipt_has_its_result(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute, pokes = OllangOrderStatusSensor.execute, [0]

    def acting(self: OllangOrderStatusSensor, context: Any) -> Any:
        pokes[0] += 1
        if pokes[0] > 1:
            without("rerun", "order_id")(self)
        return execute(self, context)

    acting.__name__ = "execute"
    monkeypatch.setattr(OllangOrderStatusSensor, "execute", acting)
    run = run_dag(dag_of(rerun=True, mode="reschedule"))
    assert (run.states["wait"], run.tries["wait"]) == ("success", 1)
    assert run.results["wait"]["outputs_changed"] is True
    assert pokes[0] > 1


@needs_task_state_store
@pytest.mark.parametrize("method", ["get", "set"])
def test_store_that_fails_at_resume_keeps_the_error(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="failed", after=150)
    at_resume(monkeypatch, OllangOrderStatusSensor, lambda _: at_store(monkeypatch, method, fail, times=99))
    run = run_dag(dag_of(deferrable=True))
    assert (run.tries["wait"], type(run.errors["wait"])) == (1, OllangOrderFailedError)


@needs_task_state_store
def test_sensor_with_its_result_stores_nothing_more(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="completed", after=150)
    used: list[str] = []
    at_resume(
        monkeypatch,
        OllangOrderStatusSensor,
        lambda _: at_store(monkeypatch, "set", lambda: used.append("set"), times=99),
    )
    at_resume(
        monkeypatch,
        OllangOrderStatusSensor,
        lambda _: at_store(monkeypatch, "get", lambda: used.append("get"), times=99),
    )
    assert run_dag(dag_of(deferrable=True)).states == {"wait": "success"}
    assert used == []


@needs_task_state_store
@pytest.mark.parametrize(("mode", "tries"), [("poke", 1), ("deferrable", 1), ("reschedule", 2)])
def test_store_that_fails_during_a_wait(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, mode: str, tries: int
) -> None:
    """Only a task that is rescheduled has nothing else to know its wait from."""
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="completed", after=150)
    at_store(monkeypatch, "set", fail)
    run = run_dag(dag_of(**MODES[mode]))
    assert (run.states["wait"], run.tries["wait"]) == ("success", tries)
    if tries == 2:
        assert isinstance(run.errors["wait"], OllangUnavailableError)
        assert "task state store" in str(run.errors["wait"])


# --- The operators ------------------------------------------------------------------------------------------------


def test_rerun_without_its_inputs_at_resume_has_its_result(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_resume(monkeypatch, OllangRerunOperator, without("order_id", "ollang_conn_id"))
    run = run_dag(rerun_dag(**WAITING, deferrable=True))
    assert (run.states, run.tries, accepted_reruns(ollang)) == ({"rerun": "success"}, {"rerun": 1}, 1)
    assert "(run 2)" in first_output(run.results["rerun"])


@needs_task_state_store
def test_rerun_without_xcom_and_inputs_at_resume_has_its_result(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_resume(monkeypatch, OllangRerunOperator, without("order_id"))
    run = run_dag(rerun_dag(**WAITING, deferrable=True, do_xcom_push=False))
    assert (run.states, run.tries, state_on_record()) == ({"rerun": "success"}, {"rerun": 1}, "finished")


def test_gate_without_its_thresholds_at_resume_applies_them(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, Any] = {}
    defer: Any = BaseOperator.defer
    complete: Any = OllangQualityGateOperator.execute_complete

    def noted(self: BaseOperator, **arguments: Any) -> None:
        kept.update(arguments["kwargs"])
        defer(self, **arguments)

    # Before Airflow 3.4 dag.test() drops what a deferral keeps besides the event; a triggerer does not.
    monkeypatch.setattr(BaseOperator, "defer", noted)
    monkeypatch.setattr(
        OllangQualityGateOperator,
        "execute_complete",
        lambda self, *given, **more: complete(self, *given, **{**more, **kept}),
    )
    at_resume(monkeypatch, OllangQualityGateOperator, without("min_scores", "order_id", "evaluation"))
    ollang.change_order(ORDER, latestEvaluation=None)
    made = {"id": "e", "createdAt": "2099-01-01T00:00:00Z", "scores": [{"name": "Accuracy", "value": 70}]}
    ollang.change_order(ORDER, latestEvaluation=made, after=90)
    with DAG("gating", schedule=None, start_date=ollang.now) as dag:
        OllangQualityGateOperator(
            task_id="gate",
            order_id=ORDER,
            min_scores={"Accuracy": 60},
            on_missing="wait",
            deferrable=True,
            retries=0,
        )
    report = run_dag(dag).results["gate"]
    assert report["passed"] is True
    assert report["criteria"][0]["minimum"] == 60


# --- A result that nothing proves ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mode",
    # Without a store each reschedule starts `stale_timeout` anew.
    [pytest.param(MODES[name], marks=needs_task_state_store if name == "reschedule" else ()) for name in MODES],
    ids=MODES,
)
def test_unproven_result_is_pushed_for_mark_success(ollang: Sandbox, run_dag: RunDag, mode: dict[str, Any]) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    run = run_dag(dag_of(rerun=True, stale_timeout=60, **mode))
    assert isinstance(run.errors["wait"], OllangStaleResultError)
    assert "mark this task as success" in str(run.errors["wait"])
    result = run.results["wait"]
    assert (result["order_id"], result["evidence"], result["outputs_changed"]) == (ORDER, [], False)


@pytest.mark.parametrize("arguments", [{"soft_fail": True}, {"deferrable": True, "do_xcom_push": False}], ids=str)
def test_unproven_result_of_skipped_task_is_not_pushed(
    ollang: Sandbox, run_dag: RunDag, arguments: dict[str, Any]
) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    run = run_dag(dag_of(rerun=True, stale_timeout=60, **arguments))
    assert run.states["wait"] == ("skipped" if "soft_fail" in arguments else "failed")
    assert run.results["wait"] is None


def test_pushed_result_is_the_order_of_the_next_task(ollang: Sandbox, run_dag: RunDag) -> None:
    """What the error advises works, once the sensor is marked as success."""
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    result = run_dag(dag_of(rerun=True, stale_timeout=60)).results["wait"]
    with DAG("going_on", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001

        @task
        def marked() -> Any:
            return result

        OllangGetOrderOperator(task_id="get", order_id=marked(), fields="id")
    assert run_dag(dag).results["get"] == {"id": ORDER}


@needs_task_state_store
@pytest.mark.parametrize("mode", [{}, {"deferrable": True}], ids=str)
def test_unproven_result_is_in_the_receipt(ollang: Sandbox, run_dag: RunDag, mode: dict[str, Any]) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    run = run_dag(rerun_dag(**WAITING, **mode))
    assert isinstance(run.errors["rerun"], OllangStaleResultError)
    assert run.results["rerun"]["result"]["evidence"] == []
    # A person may also find that it never ran.
    assert state_on_record() == "unknown"


# --- What is logged -----------------------------------------------------------------------------------------------


def lines_with(words: str, capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capfd.readouterr().out.splitlines() if words in line]


@pytest.mark.parametrize(
    ("mode", "flag", "story"), [("deferrable", "soft_fail", "failed"), ("poke", "never_fail", "timeout")]
)
def test_skip_logs_its_reason_once(
    ollang: Sandbox, run_dag: RunDag, capfd: pytest.CaptureFixture[str], mode: str, flag: str, story: str
) -> None:
    ollang.change_order(ORDER, status="ongoing")
    if story == "failed":
        ollang.change_order(ORDER, status="failed", after=90)
    arguments: dict[str, Any] = {**MODES[mode], flag: True, "timeout": 150}
    run = run_dag(dag_of(**arguments))
    assert run.states == {"wait": "skipped"}
    [line] = lines_with("Skipping this task", capfd)
    reason = {"failed": "will not reach", "timeout": "did not reach"}[story]
    for words in ("[warning", flag, reason):
        assert words in line


def test_retried_error_is_no_skip(ollang: Sandbox, run_dag: RunDag, capfd: pytest.CaptureFixture[str]) -> None:
    ollang.add_fault("GET", times=2, status=503)
    run = run_dag(dag_of(soft_fail=True, max_poll_failures=2))
    assert (run.states, run.tries) == ({"wait": "success"}, {"wait": 2})
    assert lines_with("Skipping this task", capfd) == []


def starts_and_ends(run: Run, capfd: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    assert run.states["wait"] == "success"
    lines = capfd.readouterr().out.splitlines()
    return [line for line in lines if "Waiting for order" in line], [line for line in lines if "Waited" in line]


@needs_task_state_store
def test_wait_logs_its_goal_and_its_result_once(
    ollang: Sandbox, run_dag: RunDag, capfd: pytest.CaptureFixture[str]
) -> None:
    ollang.change_order(ORDER, behaviour={"run_seconds": 100})
    # Each poll is another process.
    begun, ended = starts_and_ends(run_dag(dag_of(rerun=True, timeout=7200, mode="reschedule")), capfd)
    assert len(begun) == len(ended) == 1
    for words in (ORDER, "'completed' or 'delivered'", "a new result", "every 60 s", "for 2 h"):
        assert words in begun[0]
    for words in (ORDER, "completed", "evidence: event, documents, running", "Waited 2.2 min"):
        assert words in ended[0]


def test_result_of_an_older_triggerer_is_logged_without_a_time(
    ollang: Sandbox, run_dag: RunDag, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = OllangOrderStatusSensor.execute_complete

    def older(self: Any, context: Any, event: dict[str, Any]) -> Any:
        return complete(self, context, {name: event[name] for name in ("result", "error", "state")})

    monkeypatch.setattr(OllangOrderStatusSensor, "execute_complete", older)
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="completed", after=90)
    _, ended = starts_and_ends(run_dag(dag_of(deferrable=True)), capfd)
    assert len(ended) == 1


def test_waiting_rerun_logs_its_goal_and_its_result_once(
    ollang: Sandbox, run_dag: RunDag, capfd: pytest.CaptureFixture[str]
) -> None:
    run_dag(rerun_dag(**WAITING, deferrable=True))
    lines = capfd.readouterr().out.splitlines()
    assert [len([line for line in lines if words in line]) for words in ("Waiting for order", "Waited")] == [1, 1]


@needs_start_in_the_triggerer
def test_mapped_wait_logs_that_it_begins_on_a_worker(
    ollang: Sandbox, run_dag: RunDag, capfd: pytest.CaptureFixture[str]
) -> None:
    """Airflow begins every mapped task on a worker."""
    with DAG("mapped", schedule=None, start_date=ollang.now) as dag:
        OllangOrderStatusSensor.partial(task_id="wait", start_from_trigger=True).expand(order_id=[ORDER])
    assert run_dag(dag).states == {"wait[0]": "success"}
    [line] = lines_with("starting on a worker", capfd)
    assert "mapped" in line


def test_endless_timeout_fits_airflows_dates(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="completed", after=90)
    assert run_dag(dag_of(timeout=10**12, deferrable=True)).states == {"wait": "success"}


def test_misspelt_status_of_a_template_fails_at_once(ollang: Sandbox, run_dag: RunDag) -> None:
    run = run_dag(dag_of(target_statuses="{{ dag_run.conf['target'] }}"), target="Completed")
    assert (run.states, run.tries, ollang.request_log) == ({"wait": "failed"}, {"wait": 1}, [])
    assert "did you mean 'completed'" in str(run.errors["wait"])


def test_timeout_of_a_deferral_names_the_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise TaskDeferralTimeout

    monkeypatch.setattr("airflow.sdk.BaseOperator.resume_execution", fail)
    sensor = OllangOrderStatusSensor(task_id="wait", order_id=ORDER)
    with pytest.raises(OllangTimeoutError, match=r"\[triggerer\] capacity"):
        sensor.resume_execution("execute_complete", {}, {})


@needs_task_state_store
@pytest.mark.parametrize("pushes", [True, False], ids=["xcom", "no xcom"])
def test_rerun_whose_connection_is_gone_at_resume_keeps_result(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, pushes: bool
) -> None:
    at_resume(monkeypatch, OllangRerunOperator, lambda _: monkeypatch.delenv("AIRFLOW_CONN_OLLANG_DEFAULT"))
    run = run_dag(rerun_dag(**WAITING, deferrable=True, do_xcom_push=pushes))
    assert (run.states, run.tries, accepted_reruns(ollang)) == ({"rerun": "success"}, {"rerun": 1}, 1)
    stored = record()
    assert stored["state"] == "finished"
    assert "(run 2)" in first_output(stored["receipt"])
