"""What is in the files of the sandbox: bytes that depend on nothing but the document and its run, made as needed."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Content repeats after so many bytes: a prime, so that no piece of another size sits right in a wrong place.
_PERIOD = 1_048_573
_TYPES = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".srt": "application/x-subrip",
    ".vtt": "text/vtt",
    ".wav": "audio/wav",
    ".zip": "application/zip",
}
_SUBTITLES = (".srt", ".vtt")


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file.

    :param key: what it depends on: another key, other bytes.
    :param name: name of the file; its suffix tells what kind of content it is.
    :param size: length in bytes.
    """

    key: str
    name: str
    size: int

    @property
    def suffix(self) -> str:
        """Suffix of the name, in lower case."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def media_type(self) -> str:
        """The `Content-Type` of the file."""
        return _TYPES.get(self.suffix, "binary/octet-stream")

    @property
    def etag(self) -> str:
        """The `ETag` of the file, in quotes; another one for other bytes."""
        return f'"{hashlib.sha256(f"{self.key} {self.suffix} {self.size}".encode()).hexdigest()[:32]}"'

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[memoryview]:
        """Make the bytes from `start` up to `stop` (default: the end), a megabyte at most at a time."""
        block = memoryview(_block(self.key, self.suffix if self.suffix in _SUBTITLES else "", min(self.size, _PERIOD)))
        end = self.size if stop is None else min(stop, self.size)
        while start < end:
            offset = start % _PERIOD
            piece = block[offset : offset + end - start]
            yield piece
            start += len(piece)

    def read(self) -> bytes:
        """Return all of it; for files that fit into memory."""
        return b"".join(self.pieces())

    def sha256(self) -> str:
        """Return the SHA-256 of all of it, in hexadecimal."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()


@functools.lru_cache(maxsize=32)
def _block(key: str, kind: str, length: int) -> bytes:
    if not kind:
        return hashlib.shake_256(key.encode("utf-8", "surrogatepass")).digest(length)
    text = b"WEBVTT\n\n" if kind == ".vtt" else b""
    mark = "." if kind == ".vtt" else ","
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    cues = []
    left = length - len(text)
    for number in range(length):
        cue = f"{number + 1}\n{_time(number, 0, mark)} --> {_time(number, 800, mark)}\nLine {number + 1} of {name}\n\n"
        if len(cue) > left:
            # The last one is cut where the size ends, as a text with a longer last line would be.
            cues.append(cue[: max(left, 0)])
            break
        cues.append(cue)
        left -= len(cue)
    return (text + "".join(cues).encode())[:length]


def _time(seconds: int, thousandths: int, mark: str) -> str:
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{mark}{thousandths:03}"
