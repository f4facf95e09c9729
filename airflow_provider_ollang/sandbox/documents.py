"""The documents of an order: which of them a run makes anew, and how."""

from __future__ import annotations

import copy
import hashlib
import re
from typing import Any, Literal

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
_RUN = re.compile(r" \(run \d+(, draft)?\)$")
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
    """Return the newest of each result of an order; of an order without any, what its type would have."""
    newest = {(str(document.get("type")), _stem(document)): document for document in outputs_of(order)}
    if newest:
        return list(newest.values())
    order_type, language = str(order.get("type")), str(order.get("targetLanguage"))
    return results_of_type(order_type, str(order.get("id")), language)


def same_result(document: object, other: Json) -> bool:
    """Tell whether two documents are the same result, of whichever runs."""
    return (
        is_output(document)
        and isinstance(document, dict)
        and (document.get("type"), _stem(document)) == (other.get("type"), _stem(other))
    )


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
    """Put the run's number into a document's name, in place of an earlier one."""
    return f"{_RUN.sub('', name)} (run {run}{', draft' if draft else ''})"


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
