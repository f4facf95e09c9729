"""The single things that happen to an order during a run; each returns, or is, a function that sets fields.

None alters what a field holds: the order's past still shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_ollang.sandbox import evaluations
from airflow_provider_ollang.sandbox.clock import iso
from airflow_provider_ollang.sandbox.documents import (
    documents_of,
    is_output,
    made_anew,
    new_id,
    numbered_url,
    same_result,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
#: Who does what is recorded in `deliveryEvents`.
_ACTORS: dict[str, tuple[str, str | None]] = {
    "ai_delivered": ("ai", None),
    "translator_delivered": ("translator", "user_translator_1"),
    "lsp_approved": ("lsp", "user_lsp_1"),
    "order_delivered": ("system", None),
}


def set_field(name: str, value: object) -> Callable[[Json], None]:
    """Give the order a status, or another plain field."""

    def apply(order: Json) -> None:
        order[name] = value

    return apply


def cancel_review(order: Json) -> None:
    """Cancel the human review: as documented, the order is completed at level 0, and nothing new is made."""
    order["level"] = 0
    order["status"] = "completed"


def add_event(kind: str, moment: int) -> Callable[[Json], None]:
    """Note a delivery that happened at `moment`."""
    event = event_of(kind, moment)

    def apply(order: Json) -> None:
        events = order.get("deliveryEvents")
        order["deliveryEvents"] = [*(events if isinstance(events, list) else []), event]

    return apply


def event_of(kind: str, moment: int) -> Json:
    """Make an item of `deliveryEvents`."""
    actor, actor_id = _ACTORS[kind]
    return {"type": kind, "occurredAt": iso(moment), "actorType": actor, "actorId": actor_id}


def add_documents(documents: list[Json]) -> Callable[[Json], None]:
    """Put documents beside those there are."""

    def apply(order: Json) -> None:
        order["orderDocs"] = [*documents_of(order), *documents]

    return apply


def hide_outputs(*, as_null: bool) -> Callable[[Json], None]:
    """Take the old results away while the run goes on."""

    def apply(order: Json) -> None:
        if as_null:
            order["orderDocs"] = None
        else:
            order["orderDocs"] = [document for document in documents_of(order) if not is_output(document)]
        if "vttUrl" in order:
            order["vttUrl"] = None if as_null else ""

    return apply


def restore_documents(documents: list[Any], url: object) -> Callable[[Json], None]:
    """Bring back documents and `vttUrl` that were hidden, beside those that came meanwhile."""

    def apply(order: Json) -> None:
        came = [document for document in documents_of(order) if document not in documents]
        order["orderDocs"] = [*documents, *came]
        if "vttUrl" in order:
            order["vttUrl"] = url

    return apply


def renew_output(
    old: Json, *, run: int, made: int, how: Literal["replaced", "in_place", "added"], draft: bool
) -> Callable[[Json], None]:
    """Make a result anew: in the place of the old one, or beside it."""
    new = made_anew(old, run=run, moment=iso(made), how=how, draft=draft)

    def apply(order: Json) -> None:
        documents = list(documents_of(order))
        places = [index for index, document in enumerate(documents) if same_result(document, old)]
        # Of several of one name, each is renewed in its own place.
        places.sort(key=lambda index: documents[index].get("id") == old.get("id"))
        if places and how != "added":
            documents[places[-1]] = new
        else:
            documents.append(new)
        order["orderDocs"] = documents

    return apply


def renew_vtt(url: object, run: int) -> Callable[[Json], None]:
    """Let `vttUrl` lead to the run's file; an order that has none gets none."""

    def apply(order: Json) -> None:
        if isinstance(url, str) and url:
            order["vttUrl"] = numbered_url(url, run)

    return apply


def evaluate(run: int, moment: int, *, finished: bool) -> Callable[[Json], None]:
    """Show the quality check that a run brings with it, begun at `moment`: while it goes on, or with its scores."""

    def apply(order: Json) -> None:
        begun = evaluations.loading(new_id("eval", order.get("id"), run), order.get("id"), moment)
        scores = evaluations.usual_scores(run)
        order["latestEvaluation"] = evaluations.finished(begun, scores, run) if finished else begun

    return apply
