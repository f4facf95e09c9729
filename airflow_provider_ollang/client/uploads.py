"""The requests that bring a file to Ollang: as a form that is read while it is sent, or as a link to it."""

from __future__ import annotations

import json
import mimetypes
from typing import TYPE_CHECKING, Self

from urllib3.fields import RequestField
from urllib3.filepost import choose_boundary, encode_multipart_formdata

from airflow_provider_ollang.client.errors import unknown_outcome
from airflow_provider_ollang.client.requests import Readable, Request, Stream
from airflow_provider_ollang.domain.uploads import UploadDetails, name_of_link, require_uploadable
from airflow_provider_ollang.domain.values import parse_text
from airflow_provider_ollang.exceptions import OllangConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from airflow_provider_ollang.client.responses import Accepted

#: Seconds from the last byte of a file to the response: Ollang may copy and look through gigabytes before.
RESPONSE_TIMEOUT = 600.0
#: What an upload could do if it were sent again, for messages; it costs nothing.
IF_SENT_TWICE = "make a second project"
_EFFECT = "there is a new project of this name"


def upload_file(
    open_file: Callable[[], Readable],
    size: int,
    file_name: str,
    details: UploadDetails,
    *,
    before_last: Callable[[], None] = lambda: None,
) -> Request:
    """
    Return the request of `Direct Upload`.

    :param open_file: opens the file; called for each attempt.
    :param size: how many bytes it has.
    :param file_name: its name, with the extension by which Ollang tells its format.
    :param details: what the upload says of it.
    :param before_last: called before the last piece: until then the server has no whole request.
    :raises OllangConfigurationError: Ollang does not take such a file.
    """
    require_uploadable(f"file {file_name!r}", file_name, size)
    head, tail, content_type = _form_around_file(file_name, details)
    stream = Stream(
        lambda: _Form(head, open_file, tail), len(head) + size + len(tail), content_type, before_last=before_last
    )
    return Request(
        "POST",
        "/integration/upload/direct",
        f"upload {file_name}",
        body=stream,
        paid=True,
        response_timeout=RESPONSE_TIMEOUT,
        effect=_EFFECT,
        if_sent_twice=IF_SENT_TWICE,
    )


def upload_link(url: str, details: UploadDetails) -> Request:
    """
    Return the request that lets Ollang fetch a file itself; only the vendor's SDKs document this endpoint.

    :param url: the link, which nothing shows.
    :param details: what the upload says of it; this endpoint takes no notes.
    :raises OllangConfigurationError: it is no link, Ollang does not take such a file, or there are notes.
    """
    file_name = name_of_link(url, details.name)
    require_uploadable("file of the link", file_name, None)
    if details.notes:
        raise OllangConfigurationError("notes go with a file only: with a link to one Ollang takes none.")
    body = {
        "url": url,
        "originalname": file_name,
        # As the vendor's own client does: nothing tells it before Ollang has the file.
        "size": 1,
        "sourceLanguage": details.source_language,
        **({} if details.folder_id is None else {"folderId": details.folder_id}),
    }
    return Request(
        "POST",
        "/integration/upload/direct-url",
        "upload a file by a link",
        body=json.dumps(body).encode(),
        paid=True,
        response_timeout=RESPONSE_TIMEOUT,
        secret=url,
        effect=_EFFECT,
        if_sent_twice=IF_SENT_TWICE,
    )


def project_id_of(request: Request, accepted: Accepted) -> str:
    """
    Return the id of the project that an upload made.

    :raises OllangOutcomeUnknownError: the response does not tell it.
    """
    project_id = parse_text(accepted.value.get("projectId"))
    if not project_id:
        raise unknown_outcome(request, "the server accepted it without telling the id of the project")
    return project_id


class _Form:
    """A form whose last field is a file, for reading."""

    def __init__(self, head: bytes, open_file: Callable[[], Readable], tail: bytes) -> None:
        self._head, self._tail = head, tail
        self._open = open_file

    def __enter__(self) -> Self:
        self._file = self._open().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._file.__exit__(kind, error, trace)

    def read(self, size: int, /) -> bytes:
        """Read no more than so many bytes, of one of the three: at the end of the file it says whether it is whole."""
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        piece = self._file.read(size) if self._tail else b""
        if not piece:
            piece, self._tail = self._tail[:size], self._tail[size:]
        return piece


def _form_around_file(file_name: str, details: UploadDetails) -> tuple[bytes, bytes, str]:
    """Return what comes before and after the file, and the media type with the boundary."""
    marker = choose_boundary().encode()
    file = RequestField("file", marker, filename=file_name)
    file.make_multipart(content_type=mimetypes.guess_type(file_name)[0] or "application/octet-stream")
    texts = {
        "name": details.name,
        "sourceLanguage": details.source_language,
        "folderId": details.folder_id,
        "notes": json.dumps(details.note_items()) if details.notes else None,
    }
    fields = [RequestField.from_tuples(name, text) for name, text in texts.items() if text is not None]
    form, content_type = encode_multipart_formdata([*fields, file])
    head, _, tail = form.rpartition(marker)
    return head, tail, content_type
