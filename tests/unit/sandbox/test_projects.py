"""Projects and folders: what a GET and the lists show."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sandbox.projects import FOREIGN_PROJECT_ID

from .client import EXAMPLE_ID, Client, body_of, refused


def listed(client: Client, query: str = "", of: str = "project") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = body_of(client.ask("GET", f"/integration/{of}?{query}"))["data"]
    return rows


def project(client: Client, project_id: str) -> dict[str, Any]:
    return body_of(client.ask("GET", f"/integration/project/{project_id}"))


def test_project_is_shown_as_documented(ollang: Sandbox, client: Client) -> None:
    project_id = body_of(client.upload(("talk.docx", b"words")), 201)["projectId"]
    shown = project(client, project_id)
    created = ollang.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    (document,) = shown.pop("projectDocs")
    assert shown == {
        "id": project_id,
        "name": "My film.docx",
        "sourceLanguage": "en",
        "createdAt": created,
        "folderId": "folder_api_uploads",
        "ordersCount": 0,
    }
    assert (document["type"], document["size"], document["projectId"]) == ("source_document", 5, project_id)
    assert {"id", "name", "url", "sourceLanguage", "createdAt", "updatedAt", "clientId", "folderId"} <= set(document)


def test_orders_of_the_start_have_a_project(client: Client) -> None:
    shown = project(client, client.order(EXAMPLE_ID)["projectId"])
    assert (shown["name"], shown["ordersCount"]) == ("Sample Project - Episode 1.mp4", 1)


@pytest.mark.parametrize(
    ("project_id", "status", "code"),
    [
        ("nobody", 400, "BAD_REQUEST"),
        ("f" * 24, 404, "PROJECT_NOT_FOUND"),
        (FOREIGN_PROJECT_ID, 403, "ACCESS_DENIED"),
    ],
)
def test_projects_that_cannot_be_shown(client: Client, project_id: str, status: int, code: str) -> None:
    refused(client.ask("GET", f"/integration/project/{project_id}"), status, code)
    client.session.headers["X-Api-Key"] = "wrong"
    refused(client.ask("GET", f"/integration/project/{project_id}"), 401, "UNAUTHORIZED")


def test_list_is_by_id_and_of_the_account(ollang: Sandbox, client: Client) -> None:
    ids = [body_of(client.upload(name=f"Film {number}"), 201)["projectId"] for number in range(3)]
    rows = listed(client)
    assert [row["id"] for row in rows] == ["proj_xyz789", "proj_abc456", *reversed(ids)]
    assert rows[2] == project(client, ids[2])


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("search=FILM&orderBy=name&orderDirection=asc", ["Film A.mp4", "Film B.mp4"]),
        ("search=film&orderBy=sourceLanguage", ["Film A.mp4", "Film B.mp4"]),
        ("search=film&orderBy=createdAt&orderDirection=asc&take=1&page=2", ["Film A.mp4"]),
        ("search=nothing", []),
    ],
)
def test_list_is_searched_sorted_and_paged(ollang: Sandbox, client: Client, query: str, names: list[str]) -> None:
    body_of(client.upload(name="Film B", sourceLanguage="de"), 201)
    ollang.advance(1)
    body_of(client.upload(name="Film A", sourceLanguage="fr"), 201)
    assert [row["name"] for row in listed(client, query)] == names


@pytest.mark.parametrize("query", ["take=51", "page=0", "orderBy=size", "orderDirection=up"])
@pytest.mark.parametrize("of", ["project", "folder"])
def test_wrong_queries_are_refused(client: Client, of: str, query: str) -> None:
    answer = client.ask("GET", f"/integration/{of}?{query}")
    assert (answer.status_code, query.partition("=")[0] in answer.json()["message"]) == (400, True)


def test_folders(client: Client) -> None:
    body_of(client.upload(), 201)
    rows = listed(client, "orderBy=name&orderDirection=asc", "folder")
    assert [(row["name"], row["type"], row["projectCount"]) for row in rows] == [
        ("API Uploads", "api", 1),
        ("Default", "default", 2),
    ]
    assert set(rows[0]) == {"id", "name", "hexColor", "type", "createdAt", "projectCount"}


def test_orders_are_sorted_likewise(client: Client) -> None:
    query = "pageOptions[take]=50&pageOptions[orderBy]=name&pageOptions[orderDirection]=asc"
    names = [row["name"] for row in listed(client, query, "orders")]
    assert names == sorted(names)
    assert client.ask("GET", "/integration/orders?pageOptions[orderBy]=level").status_code == 400


# The options


@pytest.mark.parametrize(
    ("option", "given", "shown"),
    [
        ("with_extension", "My film", "My film.mp4"),
        ("with_extension", "My film.mp4", "My film.mp4"),
        ("as_given", "My film", "My film"),
    ],
)
def test_project_names(ollang: Sandbox, client: Client, option: str, given: str, shown: str) -> None:
    ollang.change_behaviour({"project_names": option})
    project_id = body_of(client.upload(name=given), 201)["projectId"]
    assert project(client, project_id)["name"] == shown


def test_projects_hidden_for(ollang: Sandbox, client: Client) -> None:
    ollang.change_behaviour({"projects_hidden_for": 20})
    project_id = body_of(client.upload(), 201)["projectId"]
    assert project(client, project_id)["id"] == project_id
    seen = []
    for seconds in (19.999, 0.001):
        ollang.advance(seconds)
        seen.append(project_id in [row["id"] for row in listed(client)])
    assert seen == [False, True]


def test_project_rows_with_docs(ollang: Sandbox, client: Client) -> None:
    ollang.change_behaviour({"project_rows_with_docs": False})
    assert all("projectDocs" not in row for row in listed(client))
    assert "projectDocs" in project(client, "proj_abc456")
