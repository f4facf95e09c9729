"""What goes to the hosts of the files, by which way, and what does not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ollang.client.settings import Settings, resolve_environment
from airflow_provider_ollang.transfers._file_host import THREADS, FileHost, RefusedLinkError

KEY = "secret-key"


@dataclass
class Server:
    """Notes what it is sent; redirects once and sets a cookie."""

    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0


@pytest.fixture
def server() -> Iterator[Server]:
    noted = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            noted.requests.append((self.path, dict(self.headers)))
            self.send_response(302 if self.path.endswith("/first") else 200)
            self.send_header("Location", "/sécond?a=b".encode().decode("latin-1"))
            self.send_header("Set-Cookie", "session=stolen; Path=/")
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"file")

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        noted.port = running.server_address[1]
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield noted
        running.shutdown()
        thread.join()


def settings_of(host: str, **extra: Any) -> Settings:
    return resolve_environment(Settings.from_connection("conn", password=KEY, host=host, extra=extra))


def test_nothing_of_ours_goes_to_a_file_host(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password something")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    host = FileHost(settings_of("http://localhost:1"), 1)
    for _ in range(2):
        with host.open(f"http://127.0.0.1:{server.port}/first", {"Range": "bytes=1-"}) as answer:
            assert answer.content == b"file"
    host.close()
    assert [path for path, _ in server.requests] == ["/first", "/s%C3%A9cond?a=b"] * 2
    for _, headers in server.requests:
        assert {name.lower() for name in headers} == {
            "host",
            "user-agent",
            "accept",
            "accept-encoding",
            "connection",
            "range",
        }
        assert headers["Accept-Encoding"] == "identity"
        assert headers["User-Agent"].startswith("airflow-provider-ollang/")
        assert KEY not in str(headers)


@pytest.mark.parametrize(
    ("api", "extra", "link", "allowed"),
    [
        ("https://api.example", {}, "https://files.example/a", True),
        ("https://api.example", {}, "http://files.example/a", False),
        ("https://api.example", {}, "http://127.0.0.1/a", False),
        ("https://api.example", {"allow_http": True}, "http://files.example/a", False),
        ("http://127.0.0.1:8080", {}, "https://files.example/a", True),
        ("http://127.0.0.1:8080", {}, "http://localhost:9/a", True),
        ("http://127.0.0.1:8080", {}, "http://files.example/a", False),
        ("http://api.example", {"allow_http": True}, "http://files.example/a", True),
        ("http://api.example", {"allow_http": True}, "ftp://files.example/a", False),
        ("https://api.example", {}, "file:///etc/passwd", False),
        ("https://api.example", {}, "https:///a", False),
        ("https://api.example", {}, "//files.example/a", False),
        ("https://api.example", {}, "files/a", False),
        ("https://api.example", {}, "HTTPS://files.example/a", True),
    ],
)
def test_where_links_may_lead(api: str, extra: dict[str, Any], link: str, allowed: bool) -> None:
    host = FileHost(settings_of(api, **extra), 1)
    if allowed:
        assert host._origin(link)
    else:
        with pytest.raises(RefusedLinkError):
            host._origin(link)


def test_the_proxy_of_the_connection_counts_for_files_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "files.example")
    host = FileHost(settings_of("http://api.example", allow_http=True, proxy=f"http://127.0.0.1:{server.port}"), 1)
    with host.open("http://files.example/x", {}) as answer:
        assert answer.content == b"file"
    assert server.requests[0][0] == "http://files.example/x"


def test_the_environment_says_which_file_host_needs_a_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("NO_PROXY", "api.example,inside.example")
    host = FileHost(settings_of("http://api.example", allow_http=True), 1)
    with host.open("http://outside.example/x", {}) as answer:
        assert answer.content == b"file"
    assert server.requests[0][0] == "http://outside.example/x"
    assert host._proxy_of("http://inside.example") is None


@pytest.mark.parametrize("name", ["urllib3.connection", "urllib3.connectionpool"])
def test_urllib3_logs_nothing_in_threads_of_deliveries(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nor once the delivery is over: a thread that hangs is left behind. All other threads log as ever."""
    logger = logging.getLogger(name)
    for _ in range(2):
        FileHost(settings_of("https://api.example"), 1).close()

    def log(words: str) -> None:
        logger.warning("%s", words)

    for thread in (f"{THREADS}_1", "other"):
        running = threading.Thread(target=log, args=(thread,), name=thread)
        running.start()
        running.join()
    log("main")
    assert caplog.messages == ["other", "main"]
    assert len(logger.filters) == 1
