"""The benchmarks: what they count, when they say that a bar is missed, and that the exit code says so too."""

from __future__ import annotations

import math
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import comparison, delivery
from benchmarks.delivery import Cost
from benchmarks.many_waits import Round, lateness, quantile, ratio
from benchmarks.proxy import CountingProxy
from benchmarks.rate_limit import sent_meanwhile
from benchmarks.server import Look
from benchmarks.table import Row, markdown
from dev.processes import StackError


def measuring(*rows: Row, seen: list[bool] | None = None) -> benchmarks.Measurement:
    def measurement(*, quick: bool) -> list[Row]:
        if seen is not None:
            seen.append(quick)
        return list(rows)

    return measurement


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # The other provider is not where the tests run.
    monkeypatch.setattr(benchmarks, "PACKAGES", ("aiohttp",))
    return tmp_path / "results.md"


@pytest.mark.parametrize(
    ("value", "at_most", "missed"),
    [(0.2, 0.2, False), (0.2001, 0.2, True), (0, 0, False), (1, 0, True), (math.nan, 1, True), (math.nan, None, False)],
)
def test_row_above_its_limit_or_without_number_is_missed(value: float, at_most: float | None, missed: bool) -> None:
    row = Row("a", value, at_most)
    assert row.missed is missed
    assert ("MISSED" in markdown([row])) is missed


def test_row_without_a_limit_has_no_verdict() -> None:
    last = markdown([Row("memory", 45.678, note="from this")]).splitlines()[-1]
    assert [cell.strip() for cell in last.strip("|").split("|")] == ["memory", "45.7", "", "", "from this"]


def test_run_within_limits_exits_with_zero(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks.main([], [measuring(Row("a", 1, 2)), measuring(Row("b", 3))], results) == 0
    assert "Every bar is met." in capsys.readouterr().out
    assert "| a " in results.read_text()
    assert "| b " in results.read_text()


def test_run_with_a_missed_limit_exits_with_one(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measurements = [measuring(Row("slow", 3, 2)), measuring(Row("fine", 1, 2))]
    assert benchmarks.main(["--quick"], measurements, results) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "MISSED: slow"
    assert "Every bar" not in out


def test_results_are_written_of_whole_runs_only(results: Path) -> None:
    seen: list[bool] = []
    benchmarks.main(["--quick"], [measuring(Row("a", 1, 2), seen=seen)], results)
    assert not results.exists()
    assert benchmarks.main([], [measuring(Row("slow", 3, 2), seen=seen)], results) == 1
    assert "MISSED" in results.read_text()
    assert seen == [True, False]


def test_broken_measurement_exits_with_one(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*, quick: bool) -> list[Row]:
        raise StackError("the server answered 500")

    assert benchmarks.main([], [broken], results) == 1
    assert "the server answered 500" in capsys.readouterr().err
    assert not results.exists()


def look(time: float, path: str) -> Look:
    return Look(time, path, connection=1, status=200)


def test_lateness_counts_from_the_interval() -> None:
    looks = [look(10.5, "a"), look(12.0, "b"), look(11.75, "a"), look(12.5, "a"), look(13.0, "b")]
    assert lateness(looks, begun=10, interval=1) == [0, 1, 0.25, 0, 0]


def test_quantile_is_not_exceeded_by_that_share() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert quantile(values, 0.99) == 99
    assert quantile(values, 0.5) == 50
    assert quantile([7.0], 0.99) == 7
    assert quantile([1.0, 2.0], 0.99) == 2


def test_ratio_is_the_median_over_rounds() -> None:
    rounds = {
        "trigger": [Round(cpu, 0, 0, 0, 0) for cpu in (1, 30, 2)],
        "aiohttp": [Round(cpu, 0, 0, 0, 0) for cpu in (1, 10, 1)],
    }
    assert ratio(rounds, "aiohttp") == 2


def test_requests_between_a_429_and_its_end_are_counted() -> None:
    sent = [9.9, 10.0, 10.1, 16.9, 17.0, 18.0]
    assert sent_meanwhile(sent, [(10.0, 7.0)]) == 2
    assert sent_meanwhile(sent, [(10.0, 7.0), (17.5, 1.0)]) == 3
    assert sent_meanwhile(sent, []) == 0


def cost(seconds: float = 0, cpu: float = 0, memory: float = 0) -> Cost:
    return Cost(seconds, cpu, memory)


def test_delivery_is_compared_within_its_round() -> None:
    rounds = [
        delivery.Round(operator=cost(ours, cpu=1), bare=cost(theirs, cpu=4))
        for ours, theirs in ((1, 1), (30, 10), (2, 1))
    ]
    assert delivery.ratio(rounds, "seconds") == 2
    assert delivery.ratio(rounds, "cpu") == 0.25


def test_memory_is_compared_with_an_idle_task() -> None:
    assert delivery.over(cost(memory=120), cost(memory=130), cost(memory=150)) == 30


def test_missing_file_is_not_torn_other_content_is() -> None:
    expected = {"a": "1", "b": "2"}
    assert delivery.torn({}, expected) == 0
    assert delivery.torn({"b": "2"}, expected) == 0
    assert delivery.torn({"a": "1", "b": "half", "c": "3"}, expected) == 2


def test_missing_or_additional_file_is_wrong() -> None:
    expected = {"a": "1", "b": "2"}
    assert delivery.wrong({"b": "2", "a": "1"}, expected) == 0
    assert delivery.wrong({}, expected) == 2
    assert delivery.wrong({"a": "other", "b": "2", "b.part": "2"}, expected) == 2


def test_files_in_a_folder_are_those_of_final_names(tmp_path: Path) -> None:
    (tmp_path / ".ollang-x").write_bytes(b"half")
    (tmp_path / "a").write_bytes(b"")
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert delivery.files_in(tmp_path) == {"a": nothing}
    assert delivery.files_in(tmp_path / "missing") == {}


def test_proxy_counts_one_server_and_acts_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as counted, socket.create_server(("127.0.0.1", 0)) as other:
        port = counted.getsockname()[1]
        acted: list[int] = []
        with CountingProxy(port) as proxy:
            proxy.at(4, lambda: acted.append(proxy.received))
            for server, text in ((other, b"12345"), (counted, b"123"), (counted, b"45"), (counted, b"6")):
                assert through(proxy.url, server, text) == text
            assert proxy.received == 6
        assert acted == [5]


def through(url: str, server: socket.socket, said: bytes) -> bytes:
    """Let a server say something to a client behind a proxy, and return what arrives."""
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=30) as client:
        client.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: a\r\n\r\n" % server.getsockname()[1])
        with server.accept()[0] as peer, client.makefile("rb") as answer:
            assert answer.readline().split()[1] == b"200"
            answer.readline()
            peer.sendall(said)
            peer.shutdown(socket.SHUT_WR)
            return answer.read()


def test_comparison_is_a_ratio_with_a_limit() -> None:
    (row,) = comparison.rows(quick=True)
    assert row.value > 1
    assert row.at_most == 15
