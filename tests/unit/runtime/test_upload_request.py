"""Uploads as paid requests: what they say of a link."""

from __future__ import annotations

import logging

from airflow_provider_ollang.domain.uploads import UploadDetails
from airflow_provider_ollang.runtime.upload_request import LinkUploadRequest

LOG = logging.getLogger(__name__)


def test_path_of_a_link_is_in_no_label_and_no_subject() -> None:
    request = LinkUploadRequest("https://host/d/canary.mp4?sig=canary", UploadDetails("Episode", "en"), log=LOG)
    assert request.label == "file of the link"
    assert "canary" not in f"{request.subject} {request.explain()}"


def test_link_that_is_signed_anew_is_the_same_subject() -> None:
    details = UploadDetails("Episode", "en")
    first, second, other = (
        LinkUploadRequest(f"https://host/{path}", details, log=LOG).subject
        for path in ("a.mp4?sig=1", "a.mp4?sig=2", "b.mp4?sig=1")
    )
    assert first == second != other
