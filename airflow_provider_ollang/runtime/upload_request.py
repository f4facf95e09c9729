"""Uploads, as :func:`.submit_once` submits them: what one made shows as a new project of its name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.client.account_requests import list_projects
from airflow_provider_ollang.client.requests import MAX_PAGE_SIZE
from airflow_provider_ollang.client.uploads import IF_SENT_TWICE, project_id_of, upload_file, upload_link
from airflow_provider_ollang.domain.uploads import (
    UploadReceipt,
    ids_of,
    name_of_link,
    project_names,
    require_uploadable,
)
from airflow_provider_ollang.runtime.paid_request import Effect, PaidRequest, StreamedRequest

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_ollang.client.requests import Request
    from airflow_provider_ollang.client.sync import OllangClient
    from airflow_provider_ollang.domain.uploads import UploadDetails
    from airflow_provider_ollang.runtime.paid_request import OnRunningBefore
    from airflow_provider_ollang.runtime.source_file import SourceFile


class _UploadRequest(PaidRequest[UploadReceipt]):
    """
    What both ways of uploading have in common.

    :param file_name: name of the file, with its extension.
    :param details: what the upload says of it.
    :param shown: what messages call the file.
    :param source: what is uploaded, for the subject: of the same source a retry uploads nothing again.
    :param size: bytes, if they are known.
    :param log: the task's logger.
    """

    noun = "upload"
    if_sent_twice = IF_SENT_TWICE
    # Whether a project that is there is of this task's own earlier upload, nothing tells without a record.
    shows_running = False
    receipt_class = UploadReceipt

    def __init__(
        self, file_name: str, details: UploadDetails, *, shown: str, source: object, size: int | None, log: Any
    ) -> None:
        self.label = shown
        about = json.dumps([source, file_name, details.name, details.source_language, details.folder_id])
        self.subject = f"{shown} ({hashlib.sha256(about.encode()).hexdigest()[:16]})"
        self._details = details
        self._size = size
        self._names = project_names(details.name, file_name)
        self._log = log

    def _request(self) -> Request:
        raise NotImplementedError

    def _sha256(self) -> str | None:
        return None

    def precheck(
        self,
        client: OllangClient,
        *,
        on_running: OnRunningBefore,  # noqa: ARG002 - nothing to reconnect to shows
    ) -> UploadReceipt:
        """Note which projects of this name there are, and the server's time."""
        rows, listed_at = self._list(client)
        return UploadReceipt(
            host=client.settings.base_url,
            message=None,
            requested_at=listed_at.isoformat() if listed_at else None,
            reconnected=False,
            project_id=None,
            name=self._details.name,
            source_language=self._details.source_language,
            folder_id=self._details.folder_id,
            bytes=self._size,
            sha256=None,
            project_names=self._names,
            known_project_ids=ids_of(rows, self._names),
        )

    def send(self, client: OllangClient, receipt: UploadReceipt) -> UploadReceipt:
        """Send the request once."""
        request = self._request()
        accepted = client.submit(request)
        project_id = project_id_of(request, accepted)
        return dataclasses.replace(
            receipt,
            message=f"project {project_id}",
            requested_at=accepted.requested_at or receipt.requested_at,
            project_id=project_id,
            sha256=self._sha256(),
        )

    def find_effect(
        self, client: OllangClient, receipt: UploadReceipt, *, max_attempts: int | None = None
    ) -> Effect[UploadReceipt]:
        """Look for a project that was not there before; of several nothing tells which one is this upload's."""
        rows, _ = self._list(client, max_attempts=max_attempts)
        possible = [row for row in rows if receipt.may_have_made(row)]
        fitting = [
            project_id
            for project_id in ids_of(possible, receipt.project_names)
            if receipt.fits(client.get_project(project_id, max_attempts=max_attempts))
        ]
        # One that is older than the request by its date only is this upload's if the clocks differ.
        older = ids_of([row for row in possible if receipt.predates_request(row)], receipt.project_names)
        new = [project_id for project_id in fitting if project_id not in older]
        if len(new) == 1:
            self._log.info("Project %s is new, and of this file's name and size.", new[0])
            return Effect(dataclasses.replace(receipt, project_id=new[0], sha256=self._sha256()))
        listed = f": {', '.join(fitting)}" if fitting else ""
        comparison = f"there are {len(fitting)} new projects of its name, language and size{listed}"
        return Effect(None, comparison, is_likely=bool(fitting))

    def explain(self) -> str:
        """Say what to check in Ollang."""
        return (
            f"Look in Ollang for a new project named {self._details.name!r}. If there is one, mark this task as "
            "success and give the id of the project to the tasks downstream; if not, clear this task to upload again."
        )

    def _list(
        self, client: OllangClient, *, max_attempts: int | None = None
    ) -> tuple[list[dict[str, Any]], datetime | None]:
        page = list_projects(1, MAX_PAGE_SIZE, {"search": self._details.name})
        return client.get_dated_page(page, max_attempts=max_attempts)


class FileUploadRequest(_UploadRequest, StreamedRequest):
    """
    `Direct Upload`: the file itself. One of the same address and size counts as the same, even if it was written since.

    :param source: the file.
    :param details: what the upload says of it.
    :param log: the task's logger.
    :raises OllangConfigurationError: Ollang does not take such a file.
    """

    def __init__(self, source: SourceFile, details: UploadDetails, *, log: Any) -> None:
        require_uploadable(f"file {source.name!r}", source.name, source.size)
        about = [source.address, source.size]
        super().__init__(source.name, details, shown=f"file {source.name}", source=about, size=source.size, log=log)
        self.source = source

    def _request(self) -> Request:
        source = self.source
        return upload_file(source.open, source.size, source.name, self._details, before_last=self.before_last_byte)

    def _sha256(self) -> str | None:
        return self.source.sha256


class LinkUploadRequest(_UploadRequest):
    """
    The upload of a link, which nothing shows.

    :param url: the link.
    :param details: what the upload says of it.
    :param log: the task's logger.
    :raises OllangConfigurationError: it is no link, Ollang does not take such a file, or there are notes.
    """

    def __init__(self, url: str, details: UploadDetails, *, log: Any) -> None:
        self._link_request = upload_link(url, details)
        # A link is signed again each time it is made.
        about = url.partition("?")[0]
        name = name_of_link(url, details.name)
        super().__init__(name, details, shown="file of the link", source=about, size=None, log=log)

    def _request(self) -> Request:
        return self._link_request
