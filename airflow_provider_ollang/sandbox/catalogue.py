"""The orders a sandbox starts with, and the pattern that fills in what an added order does not say."""

from __future__ import annotations

import copy
import itertools
import json
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_ollang.sandbox.changes import event_of
from airflow_provider_ollang.sandbox.clock import iso
from airflow_provider_ollang.sandbox.documents import given_results, named, numbered_url, results_of_type
from airflow_provider_ollang.sandbox.stories import DONE, reviewed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The account whose key the sandbox takes.
OWN = "own"
OTHER = "other"
#: The order of the vendor's page.
EXAMPLE_ID = "60b8d6f1e1b9b1d8c6c0d8e1"
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
#: Beside the example, under the ids that follow the example's.
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
    Row(
        "document",
        "completed",
        "Rerun fails",
        "its rerun ends `failed`",
        behaviour={"end_status": "failed"},
    ),
    Row("subtitle", "completed", "Rerun hangs", "its rerun never ends", behaviour={"end_status": None}),
    Row(
        "aiDubbing",
        "completed",
        "Rerun finds no credits",
        "its rerun is refused with 402",
        behaviour={"no_credits": 402},
    ),
    Row(
        "cc",
        "pending",
        "Interview - Part 3",
        "its first run begins when the sandbox starts",
        behaviour={"first_run": True},
    ),
    # Each example DAG has orders of its own, so that none meets an order that another one is working on.
    Row("subtitle", "completed", "Lecture 1", "for `ollang_rerun_order`; quick", behaviour=_QUICK),
    Row("subtitle", "completed", "Lecture 2", "for `ollang_rerun_catalogue`; quick", behaviour=_QUICK),
    Row("document", "completed", "Lecture 2, handout", "for `ollang_rerun_catalogue`; quick", behaviour=_QUICK),
    Row("subtitle", "completed", "Lecture 3", "for `ollang_localize_order`; quick", behaviour=_QUICK),
    Row("subtitle", "completed", "Lecture 4", "for `ollang_localize_catalogue`; quick", behaviour=_QUICK),
    Row("document", "completed", "Lecture 4, handout", "for `ollang_localize_catalogue`; quick", behaviour=_QUICK),
)


class StartOrder(NamedTuple):
    """What a sandbox makes one of its orders of."""

    order: dict[str, Any]
    owner: str
    behaviour: Mapping[str, Any]


def example() -> dict[str, Any]:
    """Return the order of the vendor's page *Get Order by ID*, as the page has it."""
    text = files(__package__).joinpath("example_order.json").read_text(encoding="utf-8")
    order: dict[str, Any] = json.loads(text)
    return order


def start_orders(now: int) -> list[StartOrder]:
    """Return the orders of a fresh sandbox."""
    orders = [StartOrder(example(), OWN, {})]
    orders += [
        StartOrder(_order_of(row, order_id, now), OWN, row.behaviour)
        for order_id, row in zip(row_ids(), ROWS, strict=True)
    ]
    foreign = filled({"id": FOREIGN_ID, "name": "Somebody else's series"}, now)
    orders.append(StartOrder(foreign, OTHER, {}))
    return orders


def row_ids() -> list[str]:
    """Return the ids of `ROWS`."""
    following = (f"{number:024x}" for number in itertools.count(int(EXAMPLE_ID, 16) + 1))
    return list(itertools.islice((order_id for order_id in following if order_id != FOREIGN_ID), len(ROWS)))


def _order_of(row: Row, order_id: str, now: int) -> dict[str, Any]:
    said = {"id": order_id, "type": row.type, "status": row.status, "name": row.name, "level": row.level}
    order = filled(said, now)
    if row.without_events:
        del order["deliveryEvents"]
    return order


def filled(said: dict[str, Any], now: int, results: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Complete an order: what `said` leaves out is as usual for its type, status and level.

    A done order was made two days ago, finished one day ago, and has the results of its type.

    :param results: what is known of the results it has, in place of those.
    :raises SandboxError: for results that make no sense.
    """
    order_type = said.get("type", "cc")
    status = said.get("status", "completed")
    level = said.get("level", 0)
    order_id = str(said["id"])
    source, target = said.get("sourceLanguage", "en"), said.get("targetLanguage", "fr")
    made, finished = iso(now - 2 * _DAY), now - _DAY
    documents = [_source(order_type, order_id, source, made)]
    if results is not None:
        dates = {"createdAt": iso(finished), "updatedAt": iso(finished)}
        documents += [{**result, **dates} for result in given_results(results, str(order_type), order_id, str(target))]
    elif status in DONE:
        for result in results_of_type(str(order_type), order_id, str(target)):
            result["name"] = named(result["name"], 1)
            documents.append({**result, "createdAt": iso(finished), "updatedAt": iso(finished)})
    order = {
        "id": order_id,
        "createdAt": made,
        "name": f"Order {order_id}",
        "sourceLanguage": source,
        "targetLanguage": target,
        "type": order_type,
        "status": status,
        "rate": 0.15,
        "projectId": "proj_abc456",
        "level": level,
        "folderId": "folder_abc123",
        "orderDocs": documents,
        "finance": {"paymentAmount": 120.0},
        "deliveryEvents": _events(level, finished) if status in DONE else [],
    }
    if order_type in ("cc", "subtitle") and status in DONE:
        order["vttUrl"] = numbered_url(f"https://example.com/subtitles/{order_id}_{target}.vtt", 1)
    return {**order, **copy.deepcopy(said)}


def _source(order_type: object, order_id: str, language: str, made: str) -> dict[str, Any]:
    written = order_type in ("document", "proofreading", "other")
    kind, name, suffix = (
        ("sourceDocument", "Source document", "docx") if written else ("sourceVideo", "Source video", "mp4")
    )
    size = {"size": 40960, "wordCount": 1040} if written else {"size": 734003200, "duration": 1320}
    return {
        "id": f"doc_source_{order_id[-6:]}",
        "name": name,
        "url": f"https://example.com/sources/{order_id}.{suffix}",
        "type": kind,
        **size,
        "sourceLanguage": language,
        "createdAt": made,
        "updatedAt": made,
    }


def _events(level: object, finished: int) -> list[dict[str, Any]]:
    if not reviewed(level):
        return [event_of("ai_delivered", finished), event_of("order_delivered", finished)]
    hours_before = {"ai_delivered": 12, "translator_delivered": 2, "lsp_approved": 1, "order_delivered": 0}
    return [event_of(kind, finished - hours * _HOUR) for kind, hours in hours_before.items()]
