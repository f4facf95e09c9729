"""What holds for every order, however odd: with parts missing, null, doubled, reordered and of unknown types."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.freshness import Rerun, summarize
from airflow_provider_ollang.domain.orders import KNOWN_STATUSES, document_kind, rerun_readiness, shows_running
from tests.unit.builders import ORDER_ID, SIGNATURE, order, rerun_of

JsonObject = dict[str, Any]

some = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(some, max_examples=60)

#: Later than any time an order may hold.
LATEST = "2030-01-01T00:00:00.001Z"
SUMMARY_KEYS = list(summarize(ORDER_ID, {}))


# --- Orders ---------------------------------------------------------------------------------------------------


def _written(minutes: int, style: int) -> str:
    time = datetime(2024, 3, 1, 12, tzinfo=UTC) + timedelta(minutes=minutes)
    return (
        time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        time.strftime("%Y-%m-%dT%H:%M:%S.511Z"),
        time.strftime("%Y-%m-%dT%H:%M:%S"),
        time.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(),
        time.strftime("%Y-%m-%d"),
    )[style]


junk: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, 1, -1, 1.5, 10**30, "", " ", "None", "soon", "\ud800", [], {}, [[]], [None], {"id": 1}]
)
times = st.builds(_written, st.integers(-3000, 3000), st.integers(0, 4))
ids = st.sampled_from(["doc_a", "doc_b", "doc_c", "doc_d", 7])
output_types = st.sampled_from(["subtitle", "translation", "created_ai_dub_audio", "createdAiDubAudio", "hologram"])
other_types = st.sampled_from(
    ["sourceVideo", "source_srt", "invoice", "guideline", "created_waveform", "createdThumbnail"]
)
numbers = st.one_of(st.integers(0, 3), st.floats(0, 10, allow_nan=False))
links = st.just(f"https://storage.ollang.com/file?{SIGNATURE}")


def odd(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what is usual there, but sometimes anything, or ``...`` for a field that is missing."""
    return st.sampled_from([usual] * 14 + [junk, st.just(...)]).flatmap(lambda chosen: chosen)


def object_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[JsonObject]:
    return st.fixed_dictionaries({name: odd(usual) for name, usual in fields.items()}).map(
        lambda item: {name: value for name, value in item.items() if value is not ...}
    )


documents = st.builds(
    lambda given, fixed: {**fixed, **given},
    object_of(id=ids, type=st.one_of(output_types, other_types), size=numbers, createdAt=times, updatedAt=times),
    st.sampled_from(
        [{"name": "Subtitles", "url": f"https://storage.ollang.com/file?{SIGNATURE}"}, {"wordCount": 7}, {}]
    ),
)
events = object_of(
    type=st.sampled_from(["ai_delivered", "translator_delivered", "lsp_approved", "order_delivered", "other"]),
    occurredAt=times,
)
evaluations = object_of(
    id=st.just("eval_1"), createdAt=times, scores=st.lists(object_of(name=junk, value=numbers), max_size=2)
)


def lists_of(items: st.SearchStrategy[Any], max_size: int = 4) -> st.SearchStrategy[list[Any]]:
    return st.lists(odd(items), max_size=max_size).map(lambda found: [item for item in found if item is not ...])


def orders_of(docs: st.SearchStrategy[Any], events: st.SearchStrategy[Any]) -> st.SearchStrategy[JsonObject]:
    return object_of(
        id=st.just(ORDER_ID),
        name=st.text(max_size=3),
        status=st.sampled_from(sorted(KNOWN_STATUSES)),
        level=st.sampled_from([0, 1, 0.0, 2]),
        vttUrl=links,
        orderDocs=docs,
        deliveryEvents=events,
        latestEvaluation=st.one_of(st.none(), evaluations),
    )


sometimes_absent = ["id", "type", "updatedAt", "createdAt", "size", "occurredAt"]


@st.composite
def orders(draw: st.DrawFn) -> JsonObject:
    seen: JsonObject = copy.deepcopy(draw(orders_of(lists_of(documents), lists_of(events))))
    absent = draw(st.sampled_from([None, None, None, *sometimes_absent]))
    for items in (seen.get("orderDocs"), seen.get("deliveryEvents")):
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict) and absent in item:
                item[absent] = None
    return seen


anything: st.SearchStrategy[Any] = st.recursive(
    st.one_of(junk, times, st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["id", "type", "occurredAt", "size", "scores", "name", "value"]), inner, max_size=4
        ),
    ),
    max_leaves=8,
)
wild_orders = st.dictionaries(st.sampled_from([*order(), "latestEvaluation", "qcEvaluation"]), anything)
requests = st.one_of(st.none(), times, st.just("soon"))
chance = st.randoms(use_true_random=False)


# --- What may happen to an order without any new result ---------------------------------------------------------


def polled_again(seen: JsonObject, random: Random) -> JsonObject:
    """Return the same old order as a later answer may show it."""
    again = poorer(seen, random)
    for name in ("orderDocs", "deliveryEvents"):
        items = again.get(name)
        if isinstance(items, list):
            items += [copy.deepcopy(item) for item in items if random.random() < 0.3]
            random.shuffle(items)
    docs = again.get("orderDocs")
    if random.random() < 0.5 and (isinstance(docs, list) or docs is None):
        kinds = ["invoice", "created_thumbnail", "createdWaveform", "sourceVideo", "character_list", None]
        new = [
            {"id": f"doc_new_{number}", "type": random.choice(kinds), "createdAt": LATEST, "updatedAt": LATEST}
            for number in range(3)
        ]
        again["orderDocs"] = [*new, *(docs or [])]
    again["vttUrl"] = f"https://storage.ollang.com/sample.vtt?sign={random.random()}"
    again["status"] = random.choice(["completed", "delivered", again.get("status")])
    again["name"] = "Renamed"
    return again


def poorer(seen: JsonObject, random: Random, *, keep: tuple[str, ...] = ()) -> JsonObject:
    """Return the same order with some fields null, missing or with other links, but no list shorter."""
    again = copy.deepcopy(seen)
    for name in ("orderDocs", "deliveryEvents"):
        for item in again[name] if isinstance(again.get(name), list) else []:
            if isinstance(item, dict):
                _lose_fields(item, random, keep)
                if "url" in item:
                    item["url"] = f"https://storage.ollang.com/file?sign={random.random()}"
    _lose_fields(again, random)
    return again


def _lose_fields(item: JsonObject, random: Random, keep: tuple[str, ...] = ()) -> None:
    for name in [name for name in item if name not in keep]:
        fate = random.random()
        if fate < 0.1:
            item[name] = None
        elif fate < 0.2:
            del item[name]


# --- Properties -------------------------------------------------------------------------------------------------


@many
@given(before=orders(), random=chance, requested_at=requests)
def test_order_is_no_evidence_against_its_own_baseline(
    before: JsonObject, random: Random, requested_at: str | None
) -> None:
    rerun = rerun_of(before, requested_at=requested_at)
    assert rerun.evidence(before) == []
    again = polled_again(before, random)
    assert rerun.evidence(again) == [], again


@many
@given(now=orders(), random=chance)
def test_order_is_no_evidence_against_a_poorer_baseline(now: JsonObject, random: Random) -> None:
    # Without id and type a document cannot be recognised later.
    baseline = Baseline.from_order(poorer(now, random, keep=("id",)))
    assert Rerun(baseline, LATEST).evidence(now) == []


@st.composite
def orders_with_outputs(draw: st.DrawFn) -> JsonObject:
    """Return an order whose outputs all have an id, a type and a time."""
    doc = st.fixed_dictionaries(
        {"id": ids, "type": output_types, "updatedAt": times},
        optional={"size": st.one_of(numbers, junk), "createdAt": st.one_of(times, junk), "name": junk},
    )
    other = st.fixed_dictionaries({"id": junk, "type": other_types})
    outputs = draw(st.lists(doc, min_size=1, max_size=6))
    others = draw(st.lists(st.one_of(other, junk), max_size=3))
    return {**draw(orders()), "orderDocs": [*outputs, *others]}


@many
@given(before=orders_with_outputs(), random=chance, requested_at=requests)
def test_outputs_all_made_again_are_evidence(before: JsonObject, random: Random, requested_at: str | None) -> None:
    now = copy.deepcopy(before)
    docs: list[Any] = now["orderDocs"]
    new_types = set()
    for number, doc in enumerate(list(docs)):
        if not isinstance(doc, dict) or document_kind(doc.get("type")) != "output" or doc.get("type") in {None, ""}:
            continue
        plain = str(doc["type"]).casefold().replace("_", "")
        if plain in new_types and random.random() < 0.5:
            continue  # one new document of each type is enough
        new_types.add(plain)
        new_id = {**doc, "id": f"new_{number}", "createdAt": LATEST, "updatedAt": LATEST}
        how = random.random()
        if how < 0.4:
            docs[docs.index(doc)] = new_id
        elif how < 0.6:
            docs.insert(0, new_id)
        elif how < 0.7:
            docs[docs.index(doc)] = {**new_id, "createdAt": None, "updatedAt": None}
        else:
            docs[docs.index(doc)] = {**doc, "updatedAt": LATEST}
    random.shuffle(docs)
    # With human review documents alone may be drafts.
    rerun = rerun_of(before, requested_at=requested_at, seen_running=True)
    assert rerun.outputs_changed(now)
    assert ("documents" in rerun.evidence(now)) or now.get("level") == 0 != before.get("level")
    summary = summarize(ORDER_ID, now, rerun=rerun)
    assert summary["outputs_changed"] is True
    assert {str(output["type"]).casefold().replace("_", "") for output in summary["outputs"]} == new_types


@many
@given(before=orders(), now=orders())
def test_later_delivery_is_evidence(before: JsonObject, now: JsonObject) -> None:
    listed = now["deliveryEvents"] if isinstance(now.get("deliveryEvents"), list) else []
    by_both = [{"type": kind, "occurredAt": LATEST} for kind in ("ai_delivered", "order_delivered")]
    now["deliveryEvents"] = [*listed, *by_both]
    assert "event" in rerun_of(before).evidence(now)


@some
@given(before=orders(), now=orders(), random=chance, seen_running=st.booleans())
def test_order_of_lists_means_nothing(
    before: JsonObject, now: JsonObject, random: Random, *, seen_running: bool
) -> None:
    evidence = rerun_of(before, seen_running=seen_running).evidence(now)
    for seen in (before, now):
        for name in ("orderDocs", "deliveryEvents"):
            if isinstance(seen.get(name), list):
                random.shuffle(seen[name])
    assert rerun_of(before, seen_running=seen_running).evidence(now) == evidence


@many
@given(before=st.one_of(orders(), wild_orders), now=st.one_of(orders(), wild_orders), requested_at=requests)
def test_any_order_is_read_and_written_as_json(before: JsonObject, now: JsonObject, requested_at: str | None) -> None:
    baseline = Baseline.from_order(before)
    stored = json.loads(json.dumps(baseline.to_json()))
    assert Baseline.from_json(stored) == baseline
    assert stored == baseline.to_json()
    rerun = Rerun(baseline, requested_at, seen_running=True)
    evidence = rerun.evidence(now)
    assert set(evidence) <= {"event", "documents", "running"}
    assert isinstance(rerun.describe_comparison(now), str)
    for summary in (summarize(ORDER_ID, now), summarize(ORDER_ID, now, rerun=rerun, evidence=evidence)):
        text = json.dumps(summary, allow_nan=False)
        assert json.loads(text) == summary
        assert list(summary) == SUMMARY_KEYS
        assert len(summary["outputs"]) <= 100
        assert SIGNATURE not in text
    assert SIGNATURE not in json.dumps(stored)


@some
@given(now=orders())
def test_comparing_changes_nothing(now: JsonObject) -> None:
    before = copy.deepcopy(now)
    rerun = rerun_of(now, seen_running=True)
    kept = copy.deepcopy(rerun)
    rerun.evidence(now)
    summarize(ORDER_ID, now, rerun=rerun)
    assert now == before
    assert rerun == kept


@some
@given(name=st.one_of(st.text(), junk, anything))
def test_any_type_has_a_kind_and_any_status_a_meaning(name: object) -> None:
    assert document_kind(name) in {"source", "auxiliary", "output"}
    if isinstance(name, str):
        assert rerun_readiness(name) in {"ready", "running", "not_eligible"}
        assert shows_running(name) in {True, False}
