"""Uploads: what Ollang takes, what an upload's project is called, and the receipt of an upload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow_provider_ollang.domain.arguments import require_text
from airflow_provider_ollang.domain.receipts import DATE_RESOLUTION, LONGEST_SKEW, PaidReceipt
from airflow_provider_ollang.domain.values import only_mappings, parse_number, parse_text, parse_time, printable
from airflow_provider_ollang.exceptions import OllangConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import timedelta

_MEDIA = ("mp4", "avi", "mov", "wmv", "flv", "mkv", "mp3", "wav", "aac", "m4a", "flac", "ogg")
_DOCUMENTS = (
    *("docx", "doc", "pdf", "txt", "rtf", "odt", "pptx", "ppt", "odp", "xlsx", "xls", "ods", "csv"),
    *("jpeg", "jpg", "png", "html", "xml", "json", "srt", "vtt"),
)
#: The documented limits, read generously: what is between 10**9 and 2**30 is for the server to refuse.
_LARGEST_MEDIA, _LARGEST_DOCUMENT = 30 << 30, 100 << 20
#: The same, for messages.
LARGEST = "30 GB of video or audio, and 100 MB of anything else"


@dataclass(frozen=True)
class UploadDetails:
    """
    What an upload says of its file.

    :param name: what the project is to be called.
    :param source_language: code of the file's language, as Ollang spells it.
    :param folder_id: the folder of the project; ``None``: Ollang's own for uploads.
    :param notes: for those who work on it: a text, or a list of ``{"details": str, "timeStamp": str}``, of which the
        last may be missing.
    :raises OllangConfigurationError: one of them is none.
    """

    name: str
    source_language: str
    folder_id: str | None = None
    notes: str | list[dict[str, str]] | None = None

    def __post_init__(self) -> None:
        require_text("name", self.name)
        require_text("source_language", self.source_language)
        if self.folder_id is not None:
            require_text("folder_id", self.folder_id)
        self.note_items()

    def note_items(self) -> list[dict[str, str]]:
        """Return the notes as the API takes them."""
        notes: Any = self.notes or []
        items = [{"details": notes}] if isinstance(notes, str) else notes
        if not isinstance(items, list) or not all(_is_note(item) for item in items):
            raise OllangConfigurationError(
                "notes must be a text, or a list of {'details': text, 'timeStamp': text}, of which timeStamp may be "
                "missing."
            )
        return items


def _is_note(item: object) -> bool:
    if not isinstance(item, Mapping) or "details" not in item or not item.keys() <= {"details", "timeStamp"}:
        return False
    return all(isinstance(text, str) for text in item.values())


def require_uploadable(shown: str, file_name: str, size: int | None) -> None:
    """
    Refuse a file that Ollang does not take, by what its pages say.

    :param shown: what messages call the file.
    :param file_name: its name, by whose extension Ollang tells its format.
    :param size: bytes; ``None`` if that is not known.
    :raises OllangConfigurationError: it has no extension or another one, is empty or too large.
    """
    extension = PurePosixPath(file_name).suffix[1:].casefold()
    problem = None
    if not extension:
        problem = "has no extension, by which Ollang tells the format of a file"
    elif extension not in (*_MEDIA, *_DOCUMENTS):
        problem = f"has a format that Ollang does not take; it takes {', '.join((*_MEDIA, *_DOCUMENTS))}"
    elif size == 0:
        problem = "is empty"
    elif size is not None and size > (_LARGEST_MEDIA if extension in _MEDIA else _LARGEST_DOCUMENT):
        problem = f"has {size:,} bytes; Ollang takes {LARGEST}"
    if problem:
        raise OllangConfigurationError(f"The {shown} {problem}. Nothing was sent.")


def name_of_link(url: object, name: str | None) -> str:
    """
    Return the name, with its extension, of a file that is handed over as a link.

    :param url: the link.
    :param name: what the project is to be called; ``None``: what the link calls the file.
    :raises OllangConfigurationError: it is no http or https link; the message does not show it.
    """
    if name is not None:
        require_text("name", name)
    try:
        parts = urlsplit(url if isinstance(url, str) and printable(url) == url else "")
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise OllangConfigurationError(
            f"The link must be an http or https URL, and this {type(url).__name__} is none. It is not shown: it may "
            "be a secret. Nothing was sent."
        )
    link_name = PurePosixPath(unquote(parts.path)).name
    return link_name if name is None else project_names(name, link_name)[-1]


@dataclass(frozen=True)
class UploadReceipt(PaidReceipt):
    """
    One accepted upload.

    :param project_id: the project that it made; ``None`` as long as that is not known.
    :param name: what the project was to be called.
    :param source_language: code of the file's language.
    :param folder_id: the folder that was asked for.
    :param bytes: size of the file; ``None`` for a link.
    :param sha256: its checksum as it was sent; ``None`` for a link, and where the try that sent it has died.
    :param project_names: what the project may be called: the vendor's TypeScript SDK says with the file's extension.
    :param known_project_ids: projects of such a name that were there before.
    """

    project_id: str | None
    name: str
    source_language: str
    folder_id: str | None
    bytes: int | None
    sha256: str | None
    project_names: list[str]
    known_project_ids: list[str]

    _operator = "ObjectStorageToOllangOperator"

    def to_xcom(self) -> dict[str, Any]:
        """Return what the task hands on."""
        names = ("project_id", "name", "source_language", "folder_id", "bytes", "sha256")
        return {name: getattr(self, name) for name in names}

    def may_have_made(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a row of List Projects may be the project of this upload; what a row leaves out is no reason."""
        return (
            row.get("name") in self.project_names
            and row.get("sourceLanguage") in {None, self.source_language}
            and parse_text(row.get("id")) not in {None, *self.known_project_ids}
            and not self.predates_request(row, by=LONGEST_SKEW)
        )

    def predates_request(self, row: Mapping[str, Any], by: timedelta = DATE_RESOLUTION) -> bool:
        """Tell whether a row is dated before the request, by more than this."""
        requested, created = parse_time(self.requested_at), parse_time(row.get("createdAt"))
        return requested is not None and created is not None and created < requested - by

    def fits(self, project: Mapping[str, Any]) -> bool:
        """Tell whether a project is in the folder and has a document of the file's size; what it leaves out fits."""
        folder_id = parse_text(project.get("folderId"))
        if None not in {self.folder_id, folder_id} and folder_id != self.folder_id:
            return False
        sizes = {parse_number(document.get("size")) for document in only_mappings(project.get("projectDocs"))} - {None}
        return not sizes or self.bytes is None or self.bytes in sizes

    @classmethod
    def _own_fields(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **{name: value[name] for name in ("project_id", "name", "source_language", "folder_id", "bytes", "sha256")},
            "project_names": list(value["project_names"]),
            "known_project_ids": list(value["known_project_ids"]),
        }


def project_names(name: str, file_name: str) -> list[str]:
    """Return what the project of an upload may be called."""
    suffix = PurePosixPath(file_name).suffix
    return [name] if name.casefold().endswith(suffix.casefold()) else [name, f"{name}{suffix}"]


def ids_of(rows: Iterable[Mapping[str, Any]], names: Collection[str]) -> list[str]:
    """Return the ids of the projects of these names."""
    ids = (parse_text(row.get("id")) for row in rows if row.get("name") in names)
    return [project_id for project_id in ids if project_id]
