"""The requests of Ollang's API about an account and its projects."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_ollang.client.requests import Request, parse_filters
from airflow_provider_ollang.domain.arguments import parse_project_id

if TYPE_CHECKING:
    from collections.abc import Mapping


def get_credits() -> Request:
    """Return the request of the account's credits."""
    return Request("GET", "/integration/credits", "get the credits of the account")


def get_project(project_id: object) -> Request:
    """Return the request of `Get Project by ID`."""
    project_id = parse_project_id(project_id)
    return Request("GET", f"/integration/project/{quote(project_id, safe='')}", f"get project {project_id}")


def list_projects(page: int, take: int, filters: Mapping[str, str | None]) -> Request:
    """
    Return the request of one page of `List Projects`, the newest first.

    :param page: from 1.
    :param take: rows a page, 1 to 50.
    :param filters: names as the API has them, such as ``search``; those that are ``None`` are left out.
    :raises OllangConfigurationError: a filter is no text that can be sent.
    """
    paging = {"page": str(page), "take": str(take), "orderBy": "createdAt", "orderDirection": "desc"}
    return Request("GET", "/integration/project", "list projects", query=parse_filters({**paging, **filters}))


def list_folders(page: int, take: int, filters: Mapping[str, str | None]) -> Request:
    """
    Return the request of one page of the folders.

    :param page: from 1.
    :param take: rows a page, 1 to 50.
    :param filters: names as the API has them, such as ``search``; those that are ``None`` are left out.
    :raises OllangConfigurationError: a filter is no text that can be sent.
    """
    query = parse_filters({"page": str(page), "take": str(take), **filters})
    return Request("GET", "/integration/folder", "list folders", query=query)
