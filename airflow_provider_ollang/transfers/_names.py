"""Names for delivered files: safe in every store, distinct, and the same in every try."""

from __future__ import annotations

import hashlib
import mimetypes
import re
import unicodedata
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Bytes of UTF-8 that the usual file systems allow a name.
LONGEST_NAME = 255
#: Left free in a name whose suffix is yet to come, so that what tells it from another is not cut off for it.
_SPARE = 16
#: Not allowed on one system or another, or read as a pattern or a part of an address by tools.
_UNSAFE = re.compile(r'[<>:"|?*]')
#: Letters that only turn the direction of text can make `exe.srt` out of `trs.exe`.
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_SEPARATORS = re.compile(r"[/\\]")
_SUFFIX = re.compile(r"\.(?!\d+$)[A-Za-z0-9]{1,15}")
_DEVICES = frozenset(
    {
        *("con", "prn", "aux", "nul", "conin$", "conout$"),
        *(f"{port}{number}" for port in ("com", "lpt") for number in "123456789\u00b9\u00b2\u00b3"),
    }
)
#: Only what is known here counts: the machine's own tables differ from one worker to the next.
_TYPES = mimetypes.MimeTypes(filenames=())
for _media_type, _suffix in (
    ("application/x-subrip", ".srt"),
    ("text/srt", ".srt"),
    ("text/vtt", ".vtt"),
    ("application/ttml+xml", ".ttml"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ".docx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xlsx"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", ".pptx"),
    ("application/xliff+xml", ".xliff"),
    ("audio/wav", ".wav"),
    ("audio/mp4", ".m4a"),
    ("audio/flac", ".flac"),
    ("video/x-matroska", ".mkv"),
):
    _TYPES.add_type(_media_type, _suffix)
_SUFFIX_OF = {
    "application/octet-stream": "",
    "binary/octet-stream": "",
    "audio/mpeg": ".mp3",
    "audio/x-wav": ".wav",
    "image/jpeg": ".jpg",
    "text/html": ".html",
    "text/plain": ".txt",
    "video/mp4": ".mp4",
    "video/mpeg": ".mpg",
    "video/quicktime": ".mov",
}


class Naming(NamedTuple):
    """
    What a file's name is made of.

    :param key: what no other file of the order has, the same in every try.
    :param name: what Ollang calls it.
    :param type: its document type, for a document without a name.
    :param link: where it is; only the suffix of the path counts.
    """

    key: str
    name: str | None
    type: str | None
    link: str


def file_names(files: Sequence[Naming]) -> list[str]:
    """
    Return a name for each file, without any path.

    No two are the same, whatever suffix :func:`with_suffix` gives one that has none, nor on a system that takes small
    and capital letters for the same.

    :param files: those of one order; their keys are distinct.
    """
    plain = [_with_room(_complete(safe_name(file.name or file.type or ""), file.link)) for file in files]
    names = list(plain)
    for attempt in range(4):
        clashing = _clashing(names)
        if not clashing:
            break
        for index in clashing:
            names[index] = _marked(plain[index], _mark(files[index].key, attempt))
    return names


def safe_name(name: str) -> str:
    """
    Make one part of a path from any text, as near to it as is safe.

    :return: not empty, NFC, at most 255 bytes of UTF-8, without separators, control characters, anything that leads
        elsewhere, and what Windows refuses.
    """
    parts = [part for part in _SEPARATORS.split(_INVISIBLE.sub("", name)) if part.strip(" .")]
    name = "".join(_plain(character) for character in _UNSAFE.sub("_", "_".join(parts)))
    name = unicodedata.normalize("NFC", name).strip(" .") or "document"
    if name.partition(".")[0].rstrip(" ").casefold() in _DEVICES:
        name = f"_{name}"
    return _fitting(*_split(name))


def with_suffix(name: str, media_type: str | None) -> str:
    """Return a file's name with the suffix that its ``Content-Type`` suggests, if it has none."""
    if suffix_of(name):
        return name
    kind = (media_type or "").partition(";")[0].strip().casefold()
    suffix = _SUFFIX_OF.get(kind)
    return _fitting(name, (_TYPES.guess_extension(kind) or "") if suffix is None else suffix)


def is_with_suffix(name: str, planned: str) -> bool:
    """Tell whether a name may be what :func:`with_suffix` makes of a planned one; by it no other file has that name."""
    return name == planned or (not suffix_of(planned) and name == planned + suffix_of(name))


def suffix_of(name: str) -> str:
    """Return the suffix of a name, in lower case, if it is one that says what kind of file it is."""
    suffix = PurePosixPath(name).suffix.casefold()
    return suffix if suffix in _TYPES.types_map[True] or suffix in _TYPES.encodings_map else ""


def _complete(name: str, link: str) -> str:
    """Return a name with the suffix of its link, if it has none of its own."""
    try:
        path = unquote(urlsplit(link).path)
    except ValueError:
        return name
    suffix = PurePosixPath(path.rpartition("/")[2]).suffix
    if suffix_of(name) or not _SUFFIX.fullmatch(suffix) or name.casefold().endswith(suffix.casefold()):
        return name
    return _fitting(name, suffix)


def _clashing(names: Sequence[str]) -> list[int]:
    """Return the places of names that are, or with a suffix yet to come may be, the name of another file."""
    whole = Counter(_caseless(name) for name in names)
    stems = Counter(_caseless(_split(name)[0]) for name in names)
    return [
        index
        for index, name in enumerate(names)
        if whole[_caseless(name)] > 1 or (not suffix_of(name) and stems[_caseless(name)] > 1)
    ]


def _marked(name: str, mark: str) -> str:
    stem, suffix = _split(name)
    return _fitting(stem, f" ({mark}){suffix}", LONGEST_NAME if suffix else LONGEST_NAME - _SPARE)


def _mark(key: str, attempt: int) -> str:
    """Return what tells a key from others: its end, since ids made together begin alike, or if need be a hash."""
    end = "".join(character for character in key if character.isascii() and character.isalnum())[-8:]
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return end if end and not attempt else digest[: 16 * max(attempt, 1)]


def _with_room(name: str) -> str:
    return name if suffix_of(name) else _fitting(name, "", LONGEST_NAME - _SPARE)


def _fitting(stem: str, suffix: str, longest: int = LONGEST_NAME) -> str:
    """Return a stem with a suffix, the stem cut so that both fit."""
    room = longest - len(suffix.encode())
    encoded = stem.encode()
    if len(encoded) > room:
        stem = encoded[:room].decode(errors="ignore").rstrip(" .")
    return stem + suffix


def _split(name: str) -> tuple[str, str]:
    length = len(name) - len(suffix_of(name))
    return name[:length], name[length:]


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Zl", "Zp", "Zs"}:
        return " "
    return "_" if category in {"Cc", "Cs"} else character


def _caseless(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
