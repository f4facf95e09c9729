"""The documents of an order: which of them a run makes anew, and how."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Sequence
from typing import Any, Literal

from airflow_provider_ollang.sandbox.errors import SandboxError

Json = dict[str, Any]

#: Types of documents (lower case, without `_`) that are by-products and no results.
_AUXILIARY = frozenset(
    {
        "invoice",
        "guideline",
        "guidelineglossary",
        "characterlist",
        "createdthumbnail",
        "createdwaveform",
        "createdcompressedvideo",
        "createdembeddedvideo",
        "createdsubtitleembeddedvideo",
        "createdsourcevocalsonlyaudio",
    }
)
_SUFFIX = r"(\.[A-Za-z]\w{0,4})?$"
_RUN = re.compile(r" \(run (\d{1,9})(, draft)?\)(?=" + _SUFFIX + ")")
_NAME = re.compile(r"(.+?)" + _SUFFIX, re.DOTALL)
_RUN_IN_URL = re.compile(r"(_run\d+(_draft)?)?(\.\w+)?$")


def is_output(document: object) -> bool:
    """Tell whether a document is a result of the order: no source, no by-product."""
    if not isinstance(document, dict):
        return False
    kind = str(document.get("type", "")).replace("_", "").lower()
    return not kind.startswith("source") and kind not in _AUXILIARY


def outputs_of(order: Json) -> list[Json]:
    """Return the results among an order's documents, in their order."""
    return [document for document in documents_of(order) if is_output(document)]


def results_to_renew(order: Json) -> list[Json]:
    """Return the newest of each result of an order; of an order without any, what its type would have.

    Several of one type and name are newest if they are of the same run.
    """
    newest: dict[tuple[str, str], list[Json]] = {}
    for document in outputs_of(order):
        group = newest.setdefault((str(document.get("type")), _stem(document)), [])
        if group and run_label(group[0]) != run_label(document):
            group.clear()
        group.append(document)
    if newest:
        return [document for group in newest.values() for document in group]
    order_type, language = str(order.get("type")), str(order.get("targetLanguage"))
    return results_of_type(order_type, str(order.get("id")), language)


def same_result(document: object, other: Json) -> bool:
    """Tell whether two documents are the same result, of whichever runs."""
    return (
        is_output(document)
        and isinstance(document, dict)
        and (document.get("type"), _stem(document)) == (other.get("type"), _stem(other))
    )


def run_label(document: object) -> str:
    """Return the run of a document as its name has it (`2`, `2, draft`); without one it is of run 1."""
    found = _RUN.search(str(document.get("name"))) if isinstance(document, dict) else None
    return f"{found[1]}{found[2] or ''}" if found else "1"


def run_of_results(order: Json) -> int:
    """Return the run of the newest results that an order has."""
    labels = [run_label(document) for document in outputs_of(order)]
    return max((int(label) for label in labels if label.isdigit()), default=1)


def _stem(document: Json) -> str:
    return _RUN.sub("", str(document.get("name")))


def documents_of(order: Json) -> list[Any]:
    """Return `orderDocs`, or an empty list where there is none."""
    documents = order.get("orderDocs")
    return documents if isinstance(documents, list) else []


#: What an order of a type delivers: type, name and file suffix of each result; other types deliver as `other`.
RESULTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "cc": (("subtitle", "Captions", "srt"),),
    "subtitle": (("subtitle", "Subtitles", "srt"),),
    "document": (("translation", "Translation", "docx"),),
    "aiDubbing": (
        ("created_ai_dub_audio", "Dubbed audio", "wav"),
        ("created_ai_dub_vocals_only_audio", "Dubbed vocals", "wav"),
    ),
    "studioDubbing": (
        ("vendor_audio_with_background", "Studio audio", "wav"),
        ("vendor_audio_without_background", "Studio vocals", "wav"),
        ("vendor_video", "Studio video", "mp4"),
    ),
    "proofreading": (("translator_document", "Proofread document", "docx"),),
    "other": (("translation", "Result", "zip"),),
    "revision": (("subtitle", "Revised subtitles", "srt"),),
}
_AUDIO_VIDEO = ("wav", "mp4")


def results_of_type(order_type: str, order_id: str, language: str) -> list[Json]:
    """Return the results an order of this type delivers, not dated yet."""
    results = []
    for kind, name, suffix in RESULTS.get(order_type, RESULTS["other"]):
        size = {"duration": 1320, "size": 31457280} if suffix in _AUDIO_VIDEO else {"wordCount": 980, "size": 6144}
        results.append(
            {
                "id": new_id("doc", order_id, kind),
                "name": name,
                "url": f"https://example.com/{kind}/{order_id}_{language}.{suffix}",
                "type": kind,
                **size,
                "sourceLanguage": language,
            }
        )
    return results


def given_results(given: object, order_type: str, order_id: str, language: str) -> list[Json]:
    """Return results of which at least the names are known, not dated yet.

    :raises SandboxError: if one is no object with a name, or its size is no whole number of bytes.
    """
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise SandboxError(f"files is a list of objects, not {given!r}.")
    usual = results_of_type(order_type, order_id, language)[0]
    results = []
    for number, said in enumerate(given):
        name, size = (said.get("name"), said.get("size", usual["size"])) if isinstance(said, dict) else (None, None)
        if not isinstance(name, str) or not name:
            raise SandboxError(f"A file is an object with a name, not {said!r}.")
        if type(size) is not int or size < 0:
            raise SandboxError(f"A file's size is a whole number of bytes, not {size!r}.")
        document_id = said.get("id") or new_id("doc", order_id, number, name)
        found = _NAME.fullmatch(name)
        results.append(
            {
                "id": document_id,
                "name": name,
                "url": f"https://example.com/results/{document_id}{found[2] or '' if found else ''}",
                "type": usual["type"],
                "size": size,
                "sourceLanguage": language,
                **said,
            }
        )
    return results


def made_anew(
    old: Json, *, run: int, moment: str, how: Literal["replaced", "in_place", "added"], draft: bool = False
) -> Json:
    """Return what a run makes in place of a document, the run's number in its name.

    :param moment: when, as ISO 8601.
    """
    new = copy.deepcopy(old)
    new["name"] = named(str(old.get("name") or "Result"), run, draft=draft)
    new["updatedAt"] = moment
    for counted in ("size", "wordCount"):
        if isinstance(old.get(counted), int):
            # Other numbers, near the old ones: a new translation is seldom exactly as long.
            new[counted] = old[counted] + 7 * run
    if how != "in_place":
        new["id"] = new_id("doc", old.get("id"), run, draft)
        new["createdAt"] = moment
        if isinstance(old.get("url"), str):
            new["url"] = numbered_url(old["url"], run, draft=draft)
    return new


def named(name: str, run: int, *, draft: bool = False) -> str:
    """Put the run's number into a document's name, before its suffix, in place of an earlier one."""
    mark = f" (run {run}{', draft' if draft else ''})"
    return _NAME.sub(lambda whole: f"{whole[1]}{mark}{whole[2] or ''}", _RUN.sub("", name), count=1)


def numbered_url(url: str, run: int, *, draft: bool = False) -> str:
    """Put the run's number into the file name of a link, in place of an earlier one."""
    path, mark, query = url.partition("?")
    return (
        _RUN_IN_URL.sub(lambda end: f"_run{run}{'_draft' if draft else ''}{end.group(3) or ''}", path, count=1)
        + mark
        + query
    )


def new_id(kind: str, *parts: object) -> str:
    """Make an id that depends on nothing but its parts, so that two runs of a test see the same ids."""
    return f"{kind}_{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"


def auxiliary(order_id: str, run: int, moment: str) -> list[Json]:
    """Return the by-products that can appear when a rerun is accepted."""
    return [
        {
            "id": new_id("doc", order_id, kind, run),
            "name": named(name, run),
            "url": f"https://example.com/{path}_run{run}.{suffix}",
            "type": kind,
            "size": size,
            "createdAt": moment,
            "updatedAt": moment,
        }
        for kind, name, path, suffix, size in (
            ("invoice", "Invoice", f"invoices/{order_id}", "pdf", 20480),
            ("created_thumbnail", "Thumbnail", f"thumbnails/{order_id}", "jpg", 51200),
            ("created_waveform", "Waveform", f"waveforms/{order_id}", "json", 10240),
        )
    ]
