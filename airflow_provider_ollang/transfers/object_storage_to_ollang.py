"""The operator that uploads a file from a store to Ollang."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.domain.arguments import parse_seconds, require_choice
from airflow_provider_ollang.domain.submission import Record
from airflow_provider_ollang.domain.uploads import UploadDetails, UploadReceipt, name_of_link
from airflow_provider_ollang.exceptions import OllangConfigurationError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators._base import OllangOperator
from airflow_provider_ollang.runtime.context import require_task_instance
from airflow_provider_ollang.runtime.paid_request import RECONCILE_TIMEOUT, SubmissionPolicy
from airflow_provider_ollang.runtime.source_file import SourceFile
from airflow_provider_ollang.runtime.stores import dataset_of
from airflow_provider_ollang.runtime.task_state import RETENTION, TaskState
from airflow_provider_ollang.runtime.upload_request import FileUploadRequest, LinkUploadRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow.sdk import Context, ObjectStoragePath

    from airflow_provider_ollang.runtime.cancellation import CancellationToken
    from airflow_provider_ollang.runtime.paid_request import OnUnknownOutcome

__all__ = ["ObjectStorageToOllangOperator"]


class ObjectStorageToOllangOperator(OllangOperator):
    """
    Uploads a file to Ollang from any store that Airflow's ``ObjectStoragePath`` reaches, and returns its project.

    The file is read while it is sent, in constant memory; the log tells the progress. Ollang takes MP4, AVI, MOV, WMV,
    FLV and MKV; MP3, WAV, AAC, M4A, FLAC and OGG, up to 30 GB; and DOCX, DOC, PDF, TXT, RTF, ODT, PPTX, PPT, ODP, XLSX,
    XLS, ODS, CSV, JPEG, JPG, PNG, HTML, XML, JSON, SRT and VTT, up to 100 MB. Anything else is refused, and nothing is
    sent.

    A task instance makes at most one project: retries, worker crashes and lost responses never make a second one. An
    upload that breaks before its last byte has made none, and is sent again from the start. After a lost response the
    project is found by its name, language, folder, size and time; if there are several such, or none, the task fails
    without a retry, and a person decides. A record in Airflow's task state store (Airflow 3.3 or newer) tells a later
    try what the earlier ones did: a file of the same address and size counts as uploaded, even if it changed or is gone
    since. Clearing a finished task uploads the file again.

    :param source: the file: a URL such as ``"s3://my_aws_conn@bucket/episode.mp4"``, an absolute path, or an
        ``ObjectStoragePath`` (templated).
    :param source_url: in place of ``source``, an http or https link by which Ollang fetches the file itself, such as a
        presigned one. Only the vendor's SDKs document this. The link counts as a secret: it may be a template or
        another task's output, but it is in no log, no XCom of this task and not among the rendered templates. It must
        stay good until Ollang has the file. ``partial(source_url=another.output)`` does not make the other task
        upstream: use ``expand(source_url=...)`` or ``another >> upload`` there.
    :param name: what the project is to be called; default: the file's name. With a link, the extension of its file is
        added if the name has none; give a name if the path of the link is a secret (templated).
    :param source_language: code of the file's language, exactly as Ollang spells it: ``"en"``, ``"pt-PT"`` (templated).
    :param folder_id: the folder of the project; default: Ollang's own for uploads (templated).
    :param notes: for those who work on it: a text, or a list of ``{"details": str, "timeStamp": str}``, of which the
        last may be missing; not with a link (templated).
    :param on_unknown_outcome: what to do when the outcome of the upload stays unknown: ``"fail"``, or ``"resubmit"`` it
        once, which may make a second project.
    :param reconcile_timeout: how long to look for the project of an upload with an unknown outcome, in all tries
        together, seconds or ``timedelta``; default 300 s. Each try takes 30 s of it at least.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: ``{"project_id", "name", "source_language", "folder_id", "bytes", "sha256"}``. ``bytes`` and ``sha256`` are
        of the file as it was sent; both are ``None`` with a link, and ``sha256`` where the worker that sent the file
        has died.
    :raises OllangConfigurationError: an argument is wrong, there is no such file, or Ollang does not take it: it is
        empty, too large or of another format; nothing was sent.
    :raises OllangTransientError: the store failed for a reason that may pass, or the file has changed while it was
        sent; Ollang has nothing of it; retried.
    :raises OllangBadRequestError: Ollang refused the file; with 413 it is too large.
    :raises OllangOutcomeUnknownError: it may or may not have made a project; the message says what to check.
    :raises OllangError: as :meth:`.OllangHook.upload_file`.
    """

    # Without source_url: Airflow shows the rendered templates to everybody who may see the task.
    template_fields: Sequence[str] = ("source", "name", "source_language", "folder_id", "notes", "ollang_conn_id")
    ui_color = "#dcebf5"
    #: Where the record is kept in the task's state store.
    record_key = "ollang_upload"

    def __init__(
        self,
        *,
        source: str | ObjectStoragePath | None = None,
        source_url: Any = None,
        name: str | None = None,
        source_language: str,
        folder_id: str | None = None,
        notes: str | list[dict[str, str]] | None = None,
        on_unknown_outcome: OnUnknownOutcome = "fail",
        reconcile_timeout: float | timedelta = RECONCILE_TIMEOUT,
        ollang_conn_id: str = OllangHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.name = name
        self.source_language = source_language
        self.folder_id = folder_id
        self.notes = notes
        self.on_unknown_outcome = require_choice("on_unknown_outcome", on_unknown_outcome, ("fail", "resubmit"))
        self.reconcile_timeout = parse_seconds("reconcile_timeout", reconcile_timeout)
        self.ollang_conn_id = ollang_conn_id
        self._source_url = self._depend_on(source_url)
        self._lineage: tuple[str, str | None, ObjectStoragePath | None] | None = None
        if (source is None) == (source_url is None):
            raise OllangConfigurationError("ObjectStorageToOllangOperator needs either a source or a source_url.")

    def execute(self, context: Context) -> dict[str, Any]:
        """Upload the file, or reconnect to the upload of an earlier try."""
        require_task_instance(context)
        hook, token = self._connect()
        with closing(hook):
            state = TaskState(context, self.record_key, retention=RETENTION)
            request = self._request(context, hook, token, state)
            submission = self._submit_once(
                context,
                hook,
                token,
                request,
                state=state,
                policy=SubmissionPolicy(
                    on_unknown_outcome=self.on_unknown_outcome, reconcile_timeout=self.reconcile_timeout
                ),
            )
        receipt: UploadReceipt = submission.receipt
        if not submission.is_finished:
            submission.record.note("finished", receipt)
        path = request.source.path if isinstance(request, FileUploadRequest) else None
        self._lineage = (hook.settings.base_url, receipt.project_id, path)
        return receipt.to_xcom()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - as OpenLineage calls it
        """Name the file as input and the project as output, for OpenLineage; a link is not told."""
        if self._lineage is None:
            return None
        from airflow.providers.common.compat.openlineage.facet import Dataset  # noqa: PLC0415 - only where it is
        from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415

        host, project_id, path = self._lineage
        return OperatorLineage(
            inputs=[] if path is None else [dataset_of(path)],
            outputs=[Dataset(namespace=host, name=f"projects/{project_id}")],
        )

    def _request(
        self, context: Context, hook: OllangHook, token: CancellationToken, state: TaskState
    ) -> FileUploadRequest | LinkUploadRequest:
        if self._source_url is not None:
            url = self.render_template(self._source_url, context)
            return LinkUploadRequest(url, self._details(name_of_link(url, self.name)), log=self.log)
        source = SourceFile(
            "source",
            self.source,
            redact=hook.settings.redact,
            log=self.log,
            check=token.raise_if_cancelled,
            earlier_size=lambda: _earlier_size(state),
        )
        return FileUploadRequest(source, self._details(source.name), log=self.log)

    def _details(self, file_name: str) -> UploadDetails:
        name = file_name if self.name is None else self.name
        return UploadDetails(name, self.source_language, self.folder_id, self.notes)


def _earlier_size(state: TaskState) -> int | None:
    """Return the bytes of the file that an earlier try has uploaded, or tried to."""
    record = state.load(Record)
    return None if record is None else record.receipt.get("bytes")
