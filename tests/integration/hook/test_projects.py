"""What the hook asks about projects and the account, over the sandbox's sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ollang.exceptions import OllangAccessDeniedError, OllangNotFoundError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox


def test_file_and_link_become_projects(ollang: Sandbox, hook: OllangHook, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"not a real film")
    by_file = hook.upload_file(str(film), "Film", "en")
    by_link = hook.upload_link("https://host/film.mp4?Signature=x", "Linked", "en")
    made = {project["id"]: project for project in ollang.projects()}
    assert made[by_file["project_id"]]["bytes"] == len(b"not a real film")
    assert made[by_link["project_id"]]["url"] == "https://host/film.mp4?Signature=x"
    assert hook.get_project(by_file)["sourceLanguage"] == "en"
    assert [project["id"] for project in hook.list_projects(search="Film")] == [by_file["project_id"]]
    assert {by_file["project_id"], by_link["project_id"]} <= {project["id"] for project in hook.list_projects()}


def test_project_that_is_not_there_is_named(hook: OllangHook) -> None:
    with pytest.raises(OllangNotFoundError, match="get project 60b8d6f1e1b9b1d8c6c0ffff"):
        hook.get_project("60b8d6f1e1b9b1d8c6c0ffff")


def test_credits_go_down_by_what_is_used(ollang: Sandbox, hook: OllangHook) -> None:
    before = hook.get_credits()["remainingCredits"]
    hook.create_order("proj_abc456", "subtitle", ["fr"])
    assert hook.get_credits()["remainingCredits"] < before


def test_credits_that_a_key_may_not_see_name_the_role(ollang: Sandbox, hook: OllangHook) -> None:
    ollang.add_fault("GET", "/integration/credits", status=403, body={"code": "ACCESS_DENIED"})
    with pytest.raises(OllangAccessDeniedError, match="role Owner, or with the permission Access Billing"):
        hook.get_credits()
