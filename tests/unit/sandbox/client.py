"""A bare client for the sandbox's tests: nothing between them and the wire."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import requests

from airflow_provider_ollang.sandbox import Sandbox

EXAMPLE_ID = "60b8d6f1e1b9b1d8c6c0d8e1"
FOREIGN_ID = "60b8d6f1e1b9b1d8c6c0d8ff"


class Client:
    """Calls a sandbox with the right key."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.url = sandbox.url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["X-Api-Key"] = sandbox.api_key

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        options = {"timeout": 10, "allow_redirects": False, **options}
        return self.session.request(method, f"{self.url}{path}", **options)

    def get(self, order_id: str = EXAMPLE_ID) -> requests.Response:
        return self.ask("GET", f"/integration/orders/{order_id}")

    def order(self, order_id: str = EXAMPLE_ID) -> dict[str, Any]:
        return body_of(self.get(order_id))

    def rerun(self, order_id: str = EXAMPLE_ID, **options: Any) -> requests.Response:
        return self.ask("POST", f"/integration/orders/{order_id}/rerun", **options)

    def evaluate(self, order_id: str = EXAMPLE_ID, **options: Any) -> requests.Response:
        return self.ask("POST", f"/integration/orders/{order_id}/qc", **options)

    def upload(self, file: tuple[str, bytes] | None = ("film.mp4", b"film"), **fields: Any) -> requests.Response:
        """Upload a file, given as its name and content; fields that are None are left out."""
        fields = {"name": "My film", "sourceLanguage": "en", **fields}
        data = {name: value for name, value in fields.items() if value is not None}
        files: Any = {"nothing": (None, "")} if file is None else {"file": file}
        return self.ask("POST", "/integration/upload/direct", data=data, files=files)

    def create(self, *languages: str, **fields: Any) -> requests.Response:
        """Request orders; fields that are None are left out."""
        configs = [{"language": language, "isRush": False} for language in languages or ("fr",)]
        body = {"orderType": "subtitle", "level": 0, "projectId": "proj_abc456", "targetLanguageConfigs": configs}
        body = {name: value for name, value in {**body, **fields}.items() if value is not None}
        return self.ask("POST", "/integration/orders/create", json=body)

    def created(self, *languages: str, **fields: Any) -> list[str]:
        """Request orders, and return the ids answered."""
        answer = self.create(*languages, **fields)
        assert answer.status_code == 201, answer.text
        return [entry["orderId"] for entry in answer.json()]

    def cancel(self, order_id: str) -> requests.Response:
        return self.ask("POST", f"/integration/orders/cancel/{order_id}")

    def review(self, order_id: str = EXAMPLE_ID, *, cancel: bool = False) -> requests.Response:
        action = "cancel-human-review" if cancel else "human-review"
        return self.ask("POST", f"/integration/orders/{order_id}/{action}")

    def listed(self, query: str = "") -> list[dict[str, Any]]:
        """Return the rows of a page of the list of orders."""
        rows: list[dict[str, Any]] = body_of(self.ask("GET", f"/integration/orders?{query}"))["data"]
        return rows

    def credits(self) -> dict[str, Any]:
        return body_of(self.ask("GET", "/integration/credits"))

    def status(self, order_id: str) -> str:
        return str(self.order(order_id)["status"])

    def outputs(self, order_id: str) -> list[dict[str, Any]]:
        """Documents that are no sources."""
        return [document for document in self.order(order_id)["orderDocs"] if "source" not in document["type"]]

    def names(self, order_id: str) -> list[str]:
        return [document["name"] for document in self.outputs(order_id)]

    def admin(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Call the admin API, without a key."""
        return requests.request(method, f"{self.url}/_sandbox{path}", json=body, timeout=10)


def body_of(response: requests.Response, status: int = 200) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    return body


def order_with(ollang: Sandbox, fields: dict[str, Any] | None = None, **options: Any) -> str:
    return ollang.add_order(fields or {"type": "document"}, behaviour=options)


def statuses(ollang: Sandbox, client: Client, order_id: str, moments: Sequence[float]) -> list[str]:
    """Rerun an order and return its status at these seconds."""
    accepted(client.rerun(order_id))
    seen, passed = [], 0.0
    for moment in moments:
        ollang.advance(moment - passed)
        passed = moment
        seen.append(client.status(order_id))
    return seen


def rerun_and_wait(ollang: Sandbox, client: Client, order_id: str, seconds: float = 32) -> dict[str, Any]:
    accepted(client.rerun(order_id))
    ollang.advance(seconds)
    return client.order(order_id)


def begun(client: Client, order_id: str = EXAMPLE_ID, **options: Any) -> dict[str, Any]:
    """Start an evaluation and return the response's body."""
    return body_of(client.evaluate(order_id, **options))


def scores(client: Client, order_id: str = EXAMPLE_ID) -> dict[str, float]:
    """Return the scores of the latest evaluation, by name."""
    return {score["name"]: score["value"] for score in client.order(order_id)["latestEvaluation"]["scores"]}


def file_link(client: Client, order_id: str, number: int = 0) -> str:
    return str(client.outputs(order_id)[number]["url"])


def fetch(url: str, method: str = "GET", headers: dict[str, str] | None = None, **options: Any) -> requests.Response:
    """Get a file, without a key and with the bytes as they were sent."""
    headers = {"Accept-Encoding": "identity", **(headers or {})}
    return requests.request(method, url, headers=headers, timeout=30, allow_redirects=False, **options)


def read_all(connection: socket.socket) -> bytes:
    """Return all that comes on a connection until the other end closes it."""
    received = b""
    with connection:
        while piece := connection.recv(65536):
            received += piece
    return received


def what_is_there(connection: socket.socket) -> bytes:
    """Return what has arrived on a connection, without waiting for more."""
    connection.settimeout(0.001)
    try:
        return connection.recv(1_000_000)
    except TimeoutError:
        return b""


def accepted(response: requests.Response) -> None:
    """Check that a rerun was accepted."""
    assert body_of(response)["success"] is True


def refused(response: requests.Response, status: int, code: str) -> None:
    """Check that something was refused in the documented shape."""
    assert (response.status_code, response.json()["code"]) == (status, code)


def run_curl(command: str, host: str, url: str, key: str) -> requests.Response:
    """Send what a curl line of a page would send, with host and key changed."""
    words = shlex.split(command.replace("\\\n", " "))
    assert words.pop(0) == "curl"
    method, body, target, headers = "GET", None, "", dict[str, str]()
    while words:
        match words.pop(0):
            case "-X":
                method = words.pop(0)
            case "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name] = value.replace("<your-api-key>", key)
            case "-d":
                body = words.pop(0)
            case address:
                target = address.replace(host, url)
    assert target.startswith(url)
    return requests.request(method, target, headers=headers, data=body, timeout=10)
