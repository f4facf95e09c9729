"""The documents of an order (`orderDocs`): which of them are outputs, and what a run makes of them."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Sequence
from typing import Any, Literal

from airflow_provider_ollang.sandbox.options import SandboxError

Json = dict[str, Any]

#: Types of documents (lower case, without `_`) that are by-products.
_BY_PRODUCT = re.compile(
    "invoice|guideline|guidelineglossary|characterlist|created(thumbnail|waveform|compressedvideo|embeddedvideo|"
    "subtitleembeddedvideo|sourcevocalsonlyaudio)"
)
_SUFFIX = r"(\.[A-Za-z]\w{0,4})?$"
_RUN = re.compile(r" \(run (\d{1,9})(, draft)?\)(?=" + _SUFFIX + ")")
_NAME = re.compile(r"(.+?)" + _SUFFIX, re.DOTALL)
_RUN_IN_URL = re.compile(r"(_run\d+(_draft)?)?(\.\w+)?$")


def is_output(document: object) -> bool:
    """Tell whether a document is an output of the order: neither a source nor a by-product."""
    if not isinstance(document, dict):
        return False
    kind = str(document.get("type", "")).replace("_", "").lower()
    return not kind.startswith("source") and _BY_PRODUCT.fullmatch(kind) is None


def outputs_of(order: Json) -> list[Json]:
    """Return the outputs among an order's documents."""
    return [document for document in documents_of(order) if is_output(document)]


def outputs_to_renew(order: Json) -> list[Json]:
    """Return the newest of each output of an order; of an order without any, those of its type.

    Several of one type and name are newest together if they are of the same run.
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
    return outputs_of_type(order_type, str(order.get("id")), language)


def is_same_output(document: object, output: Json) -> bool:
    """Tell whether two documents are the same output, of whichever runs."""
    if not isinstance(document, dict) or not is_output(document):
        return False
    return bool((document.get("type"), _stem(document)) == (output.get("type"), _stem(output)))


def run_label(document: object) -> str:
    """Return the run in a document's name (`2`, `2, draft`); `1` if there is none."""
    match = _RUN.search(str(document.get("name"))) if isinstance(document, dict) else None
    return f"{match[1]}{match[2] or ''}" if match else "1"


def latest_run(order: Json) -> int:
    """Return the run of the newest outputs of an order."""
    labels = [run_label(document) for document in outputs_of(order)]
    return max((int(label) for label in labels if label.isdigit()), default=1)


def _stem(document: Json) -> str:
    return _RUN.sub("", str(document.get("name")))


def documents_of(order: Json) -> list[Any]:
    """Return `orderDocs`, or an empty list where there is none."""
    documents = order.get("orderDocs")
    return documents if isinstance(documents, list) else []


#: The outputs of an order of a type: document type, name and file suffix; a type that is not listed is like `other`.
OUTPUTS: dict[str, tuple[tuple[str, str, str], ...]] = {
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


def outputs_of_type(order_type: str, order_id: str, language: str) -> list[Json]:
    """Return the outputs of an order of this type, not dated yet."""
    written, recorded = {"wordCount": 980, "size": 6144}, {"duration": 1320, "size": 31457280}
    return [
        {
            "id": new_id("doc", order_id, kind),
            "name": name,
            "url": f"https://example.com/{kind}/{order_id}_{language}.{suffix}",
            "type": kind,
            **(recorded if suffix in ("wav", "mp4") else written),
            "sourceLanguage": language,
        }
        for kind, name, suffix in OUTPUTS.get(order_type, OUTPUTS["other"])
    ]


def usual_vtt_url(order: Json) -> str | None:
    """Return the `vttUrl` of an order, without the run's number; None if its type has none."""
    if order.get("type") not in ("cc", "subtitle"):
        return None
    return f"https://example.com/subtitles/{order.get('id')}_{order.get('targetLanguage')}.vtt"


def outputs_from_files(files: object, order_type: str, order_id: str, language: str) -> list[Json]:
    """Return outputs that a caller describes, not dated yet: at least by their names.

    :raises SandboxError: if one is no object with a name, or its size is no whole number of bytes.
    """
    if not isinstance(files, Sequence) or isinstance(files, str):
        raise SandboxError(f"files is a list of objects, not {files!r}.")
    usual = outputs_of_type(order_type, order_id, language)[0]
    outputs = []
    for number, file in enumerate(files):
        name = file.get("name") if isinstance(file, dict) else None
        if not isinstance(name, str) or not name:
            raise SandboxError(f"A file is an object with a name, not {file!r}.")
        document_id = file.get("id") or new_id("doc", order_id, number, name)
        suffix = _NAME.fullmatch(name)
        url = f"https://example.com/results/{document_id}{suffix[2] or '' if suffix else ''}"
        output = {"id": document_id, "name": name, "url": url, "type": usual["type"], "size": usual["size"]}
        output |= {"sourceLanguage": language, **file}
        if type(output["size"]) is not int or output["size"] < 0:
            raise SandboxError(f"A file's size is a whole number of bytes, not {output['size']!r}.")
        outputs.append(output)
    return outputs


def renew_document(
    old: Json, *, run: int, moment: str, how: Literal["replaced", "in_place", "added"], draft: bool = False
) -> Json:
    """Return what a run makes of a document at a moment (ISO 8601), with the run's number in its name."""
    new = copy.deepcopy(old)
    new["name"] = numbered_name(str(old.get("name") or "Result"), run, draft=draft)
    new["updatedAt"] = moment
    for counted in ("size", "wordCount"):
        if isinstance(old.get(counted), int):
            # Near the old numbers: a new translation is seldom exactly as long.
            new[counted] = old[counted] + 7 * run
    if how != "in_place":
        new["id"] = new_id("doc", old.get("id"), run, draft)
        new["createdAt"] = moment
        if isinstance(old.get("url"), str):
            new["url"] = numbered_url(old["url"], run, draft=draft)
    return new


def numbered_name(name: str, run: int, *, draft: bool = False) -> str:
    """Put the run's number into a document's name, before the suffix, in place of an earlier number."""
    mark = f" (run {run}{', draft' if draft else ''})"
    return _NAME.sub(lambda match: f"{match[1]}{mark}{match[2] or ''}", _RUN.sub("", name), count=1)


def numbered_url(url: str, run: int, *, draft: bool = False) -> str:
    """Put the run's number into the file name of a link, in place of an earlier number."""
    path, mark, query = url.partition("?")
    numbered = f"_run{run}{'_draft' if draft else ''}"
    return _RUN_IN_URL.sub(lambda match: f"{numbered}{match[3] or ''}", path, count=1) + mark + query


def new_id(kind: str, *parts: object) -> str:
    """Make an id from its parts alone, so that two runs of a test see the same ids."""
    return f"{kind}_{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"


def auxiliary_documents(order_id: str, run: int, moment: str) -> list[Json]:
    """Return the by-products of a run."""
    kinds = (("invoice", "pdf", 20480), ("created_thumbnail", "jpg", 51200), ("created_waveform", "json", 10240))
    documents = []
    for kind, suffix, size in kinds:
        name = kind.rpartition("_")[2]
        about = {"id": new_id("doc", order_id, kind, run), "name": numbered_name(name.capitalize(), run)}
        url = f"https://example.com/{name}s/{order_id}_run{run}.{suffix}"
        documents.append(about | {"url": url, "type": kind, "size": size, "createdAt": moment, "updatedAt": moment})
    return documents
