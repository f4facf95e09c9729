"""The orders a sandbox starts with, and the usual fields of an order that is added."""

from __future__ import annotations

import copy
import itertools
import json
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_ollang.sandbox.clock import to_iso
from airflow_provider_ollang.sandbox.documents import (
    numbered_name,
    numbered_url,
    outputs_from_files,
    outputs_of_type,
    usual_vtt_url,
)
from airflow_provider_ollang.sandbox.lifecycle import delivery_event
from airflow_provider_ollang.sandbox.order import DONE, EXAMPLE_ID, OWN, Json
from airflow_provider_ollang.sandbox.prices import is_reviewed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOREIGN_ID = "60b8d6f1e1b9b1d8c6c0d8ff"
_HOUR = 3_600_000
_DAY = 24 * _HOUR


class Row(NamedTuple):
    """An order the sandbox starts with."""

    type: str
    status: str
    name: str
    about: str = ""
    level: int = 0
    without_events: bool = False
    behaviour: Mapping[str, Any] = MappingProxyType({})


#: Quick enough to watch.
_QUICK: Mapping[str, Any] = MappingProxyType({"run_seconds": 5, "outputs_after": 1, "qc_seconds": 2})
#: In addition to the example, under the ids that follow the example's.
ROWS: tuple[Row, ...] = (
    Row("subtitle", "completed", "Documentary - Episode 1"),
    Row("subtitle", "delivered", "Documentary - Episode 2", "reviewed by people", level=1),
    Row("document", "completed", "Safety manual"),
    Row("document", "completed", "Old contract", "made before delivery events were kept", without_events=True),
    Row("aiDubbing", "completed", "Product tour", "two outputs"),
    Row("studioDubbing", "delivered", "Feature film - Trailer", "three outputs, reviewed by people", level=1),
    Row("proofreading", "completed", "Annual report"),
    Row("other", "delivered", "Press kit"),
    Row("revision", "completed", "Documentary - Episode 1, revised"),
    Row("cc", "pending", "Interview - Part 1"),
    Row("document", "ongoing", "Onboarding guide"),
    Row("subtitle", "revision", "Documentary - Episode 3", "sent back after feedback"),
    Row("document", "delayed", "Terms of service"),
    Row("subtitle", "waitingForCC", "Documentary - Episode 4"),
    Row("aiDubbing", "waitingForSubtitle", "Product tour, long version"),
    Row("studioDubbing", "qualityCheck", "Feature film - Reel 1"),
    Row("studioDubbing", "readyToSent", "Feature film - Reel 2"),
    Row("subtitle", "review", "Documentary - Episode 5", "paused for people", level=1),
    Row("document", "waitingForApprove", "Design labels"),
    Row("cc", "failed", "Interview - Part 2"),
    Row("document", "cancelled", "Withdrawn brochure"),
    Row("document", "completed", "Rerun fails", "its rerun ends `failed`", behaviour={"end_status": "failed"}),
    Row("subtitle", "completed", "Rerun hangs", "its rerun never ends", behaviour={"end_status": None}),
    Row("aiDubbing", "completed", "Rerun without credits", "its rerun gets 402", behaviour={"no_credits": 402}),
    Row("cc", "pending", "Interview - Part 3", "runs from the start on", behaviour={"first_run": True}),
    # Each example DAG has its own orders, so that none interferes with another one.
    Row("subtitle", "completed", "Lecture 1", "for `ollang_rerun_order`; quick", behaviour=_QUICK),
    Row("subtitle", "completed", "Lecture 2", "for `ollang_rerun_catalogue`; quick", behaviour=_QUICK),
    Row("document", "completed", "Lecture 2, handout", "for `ollang_rerun_catalogue`; quick", behaviour=_QUICK),
    Row("subtitle", "completed", "Lecture 3", "for `ollang_localize_order`; quick", behaviour=_QUICK),
    Row("subtitle", "completed", "Lecture 4", "for `ollang_localize_catalogue`; quick", behaviour=_QUICK),
    Row("document", "completed", "Lecture 4, handout", "for `ollang_localize_catalogue`; quick", behaviour=_QUICK),
)


def start_orders(now: int) -> list[tuple[Json, str, Mapping[str, Any]]]:
    """Return the orders of a fresh sandbox, each with its owner and options."""
    example = json.loads(files(__package__).joinpath("example_order.json").read_text(encoding="utf-8"))
    orders: list[tuple[Json, str, Mapping[str, Any]]] = [(example, OWN, {})]
    for order_id, row in zip(row_ids(), ROWS, strict=True):
        fields = {"id": order_id, "type": row.type, "status": row.status, "name": row.name, "level": row.level}
        order = with_usual_fields(fields, now)
        if row.without_events:
            del order["deliveryEvents"]
        orders.append((order, OWN, row.behaviour))
    return [*orders, (with_usual_fields({"id": FOREIGN_ID, "name": "Another customer's series"}, now), "other", {})]


def row_ids() -> list[str]:
    """Return the ids of `ROWS`."""
    following = (f"{number:024x}" for number in itertools.count(int(EXAMPLE_ID, 16) + 1))
    return list(itertools.islice((order_id for order_id in following if order_id != FOREIGN_ID), len(ROWS)))


def with_usual_fields(fields: Json, now: int, results: Sequence[Mapping[str, Any]] | None = None) -> Json:
    """Return an order with these fields; all others are as usual for its type, status and level.

    A done order was created two days ago, finished one day ago, and has the outputs of its type, or those of `results`.
    """
    order_type, order_id = str(fields.get("type", "cc")), str(fields["id"])
    status, level = fields.get("status", "completed"), fields.get("level", 0)
    source, target = fields.get("sourceLanguage", "en"), fields.get("targetLanguage", "fr")
    created, finished = to_iso(now - 2 * _DAY), now - _DAY
    outputs: list[Json] = []
    if results is not None:
        outputs = outputs_from_files(results, order_type, order_id, str(target))
    elif status in DONE:
        usual = outputs_of_type(order_type, order_id, str(target))
        outputs = [{**output, "name": numbered_name(output["name"], 1)} for output in usual]
    dates = {"createdAt": to_iso(finished), "updatedAt": to_iso(finished)}
    order = {
        "id": order_id,
        "createdAt": created,
        "name": f"Order {order_id}",
        "sourceLanguage": source,
        "targetLanguage": target,
        "type": order_type,
        "status": status,
        "rate": 0.15,
        "projectId": "proj_abc456",
        "level": level,
        "folderId": "folder_abc123",
        "orderDocs": [_source(order_type, order_id, source, created), *({**output, **dates} for output in outputs)],
        "finance": {"paymentAmount": 120.0},
        "deliveryEvents": _events(level, finished) if status in DONE else [],
    }
    vtt_url = usual_vtt_url(order)
    if vtt_url is not None and status in DONE:
        order["vttUrl"] = numbered_url(vtt_url, 1)
    return {**order, **copy.deepcopy(fields)}


def _source(order_type: str, order_id: str, language: str, created: str) -> Json:
    if order_type in ("document", "proofreading", "other"):
        kind, name, suffix, size = "sourceDocument", "Source document", "docx", {"size": 40960, "wordCount": 1040}
    else:
        kind, name, suffix, size = "sourceVideo", "Source video", "mp4", {"size": 734003200, "duration": 1320}
    return {
        "id": f"doc_source_{order_id[-6:]}",
        "name": name,
        "url": f"https://example.com/sources/{order_id}.{suffix}",
        "type": kind,
        **size,
        "sourceLanguage": language,
        "createdAt": created,
        "updatedAt": created,
    }


def _events(level: object, finished: int) -> list[Json]:
    hours_before = {"ai_delivered": 0, "order_delivered": 0}
    if is_reviewed(level):
        hours_before = {"ai_delivered": 12, "translator_delivered": 2, "lsp_approved": 1, "order_delivered": 0}
    return [delivery_event(kind, finished - hours * _HOUR) for kind, hours in hours_before.items()]
