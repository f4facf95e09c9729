"""Uploads: what a form or a JSON body must have. A form is read as a stream: of its file, size and checksum stay."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from aiohttp import MultipartReader

from airflow_provider_ollang.sandbox import responses
from airflow_provider_ollang.sandbox.responses import ApiError, bad_request

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from aiohttp import BodyPartReader, web

    from airflow_provider_ollang.sandbox.options import Behaviour

MEDIA = frozenset(("mp4", "avi", "mov", "wmv", "flv", "mkv", "mp3", "wav", "aac", "m4a", "flac", "ogg"))
_TEXTS = ("docx", "doc", "pdf", "txt", "rtf", "odt", "html", "xml", "json", "srt", "vtt")
_SLIDES_SHEETS_AND_IMAGES = ("pptx", "ppt", "odp", "xlsx", "xls", "ods", "csv", "jpeg", "jpg", "png")
#: The documented formats, by the extension of the file's name.
FORMATS = MEDIA.union(_TEXTS, _SLIDES_SHEETS_AND_IMAGES)
_LARGEST_MEDIA = 30 * 10**9
_LARGEST_DOCUMENT = 100 * 10**6
_PIECE = 64 * 1024
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?")


@dataclass(frozen=True, slots=True)
class Upload:
    """What an upload brought: its fields, and of the file its name, size and checksum.

    :param sha256: None where the sandbox has not seen the bytes.
    :param url: the link that was handed over in place of a file.
    """

    fields: dict[str, Any]
    filename: str | None
    size: int
    sha256: str | None = None
    url: str | None = None

    @property
    def extension(self) -> str:
        """Extension of the file's name, in lower case and without its dot."""
        return PurePosixPath(self.filename or "").suffix[1:].lower()


class FormError(Exception):
    """A form that cannot be read; the message is the `detail` of the response."""


async def read_form(request: web.Request) -> Upload:
    """Read a `multipart/form-data` body, in constant memory.

    :raises FormError: if the body is none, or ends before its last boundary.
    """
    fields: dict[str, str] = {}
    filename, size, digest = None, 0, hashlib.sha256()
    try:
        reader = MultipartReader(request.headers, request.content)
        while (part := await reader.next()) is not None:
            if isinstance(part, MultipartReader):
                continue
            if part.name == "file" and part.filename is not None:
                filename = part.filename
                while piece := await part.read_chunk(_PIECE):
                    size += len(piece)
                    digest.update(piece)
            else:
                fields[str(part.name)] = await _read_text(part)
    except (ValueError, AssertionError) as error:
        raise FormError("Unexpected end of form") from error
    return Upload(fields, filename, size, digest.hexdigest())


async def _read_text(part: BodyPartReader) -> str:
    value = b""
    while piece := await part.read_chunk(_PIECE):
        value += piece
        if len(value) > _PIECE:
            raise FormError("Field value too long")
    return value.decode(errors="replace")


async def drain(request: web.Request) -> None:
    """Read a body of any length, and forget it."""
    async for _ in request.content.iter_chunked(_PIECE):
        pass


def from_link(body: Mapping[str, Any]) -> Upload:
    """Return the upload of a link that was handed over."""
    size = body.get("size")
    fields = {"name": body.get("originalname"), **{name: body.get(name) for name in ("sourceLanguage", "folderId")}}
    url, name = body.get("url"), body.get("originalname")
    size = size if type(size) is int else -1
    return Upload(fields, name if isinstance(name, str) else None, size, url=url if isinstance(url, str) else "")


def problem_of(upload: Upload, folders: Container[str], behaviour: Behaviour) -> ApiError | None:
    """Return what is wrong with an upload; None if nothing is."""
    problem = _file_problem(upload, behaviour) or _field_problem(upload.fields, folders)
    if problem is not None:
        return bad_request("Bad Request", problem)
    return responses.TOO_LARGE if upload.size > largest(behaviour, upload.extension) else None


def largest(behaviour: Behaviour, extension: str = "mp4") -> int:
    """Return how large a file of this extension may be."""
    if behaviour.max_upload_bytes is not None:
        return behaviour.max_upload_bytes
    return _LARGEST_MEDIA if extension in MEDIA else _LARGEST_DOCUMENT


def _file_problem(upload: Upload, behaviour: Behaviour) -> str | None:
    if upload.url is not None and not is_link(upload.url):
        return "url must be a URL address"
    if upload.size < 0:
        return "size must be a positive number"
    if upload.filename is None:
        return "originalname must be a string" if upload.url else "file is required"
    if not upload.extension:
        return "The file name has no extension"
    formats = FORMATS if behaviour.upload_formats is None else behaviour.upload_formats
    return None if upload.extension in formats else f"Unsupported file format: {upload.extension}"


def _field_problem(fields: Mapping[str, Any], folders: Container[str]) -> str | None:
    if not isinstance(fields.get("name"), str) or not fields["name"].strip():
        return "name should not be empty"
    if not is_language(fields.get("sourceLanguage")):
        return "sourceLanguage must be a supported language code"
    if fields.get("folderId") is not None and fields["folderId"] not in folders:
        return "folderId must be an existing folder"
    return None if _are_notes(fields.get("notes")) else "notes must be a JSON array of {details, timeStamp}"


def is_language(code: object) -> bool:
    """Tell whether a value looks like one of Ollang's language codes, which are matched exactly."""
    return isinstance(code, str) and _LANGUAGE.fullmatch(code) is not None


def is_link(value: object) -> bool:
    """Tell whether a value is an http or https address."""
    return isinstance(value, str) and re.match(r"https?://[^/\s]", value) is not None


def _are_notes(text: str | None) -> bool:
    try:
        notes = [] if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(notes, list) and all(
        isinstance(note, dict)
        and isinstance(note.get("details"), str)
        and isinstance(note.get("timeStamp"), str | None)
        for note in notes
    )
