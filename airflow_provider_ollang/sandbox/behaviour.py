"""How an order of the sandbox behaves: the only list of the knobs that stand for what Ollang's pages leave open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_provider_ollang.sandbox.errors import SandboxError
from airflow_provider_ollang.sandbox.knobs import knob


@dataclass(frozen=True)
class Behaviour:
    """What one order does, and what its answers look like.

    All times are sandbox seconds. A rerun reads its knobs when it is accepted; how an order is shown
    follows them at once.

    :raises SandboxError: if a number is negative, or a status out of range, where that means nothing.
    """

    # The answer to a rerun
    rerun_success: bool = knob(True, "false: a rerun is answered 200 with `success: false`, and does not happen")
    rerun_accepted_status: int = knob(200, "HTTP status of an accepted rerun")
    rerun_while_running: Literal["400", "409", "accept", "by_status"] = knob(
        "400",
        "a rerun while one is going on: refused with 400 or 409, accepted and counted anew, "
        "or judged by the shown status alone, which may still say `completed`",
    )
    no_credits: Literal[400, 402, 403] | None = knob(None, "refuse reruns for want of credits with this status")
    processed_twice: bool = knob(False, "one POST starts, and bills, two runs")
    answered_id: str | None = knob(None, "the order id that answers carry in place of the right one")
    error_style: Literal["documented", "unknown_error", "message_only"] = knob(
        "documented",
        "shape of error bodies: as documented; the generic `UnknownError` envelope with the reason in "
        "`detail`; a bare `message`",
    )
    error_status: int | None = knob(None, "HTTP status of error answers, in place of the documented one")

    # The run
    first_run: bool = knob(
        False, "an added order that is not done begins its first run at once, as run 1, without a rerun"
    )
    rerun_level: int | None = knob(None, "the level the order has from a rerun on; null: keeps its own")
    run_seconds: float = knob(30.0, "from the accepted rerun to its end; the type's status path is stretched to it")
    status_path: tuple[tuple[float, str], ...] | None = knob(
        None, "`[[seconds, status], …]` before the end, known names or not, in place of the type's path"
    )
    status_hidden_for: float | None = knob(
        0.0, "how long after the rerun the old status is still shown, whatever goes on; null: until the end"
    )
    end_status: str | None = knob(
        "completed", "status at the end; only `completed` and `delivered` bring results; null: never ends"
    )
    review_cancelled_after: float | None = knob(
        None,
        "level 1: when the human review is cancelled: `completed` at once, level 0, nothing further arrives",
    )

    # Its documents
    outputs: Literal["replaced", "in_place", "unchanged", "added"] = knob(
        "replaced",
        "new outputs: replace the old under new ids; keep ids but have a later `updatedAt`; change no field "
        "at all; stand beside the old",
    )
    outputs_after: float | None = knob(
        2.0, "from the end status to the first new output; negative: before it; null: none ever"
    )
    output_interval: float = knob(0.0, "from one new output to the next")
    outputs_during_run: Literal["kept", "removed", "null"] = knob(
        "kept", "old outputs and `vttUrl` during the run: kept; taken away; `orderDocs` and `vttUrl` null"
    )
    draft_documents: bool = knob(False, "level 1: the AI's draft replaces the outputs when `ai_delivered` happens")
    auxiliary_documents: bool = knob(
        False, "an invoice, a thumbnail and a waveform appear the moment the rerun is accepted"
    )

    # The files behind them
    links: Literal["served", "kept"] | None = knob(
        None,
        "links to `example.com`, which are all those the sandbox makes: shown as links to its files; shown as they "
        "are, with nothing behind them; null: `kept` for the order of the vendor's page, `served` for all others",
    )
    sign_links: bool = knob(
        False,
        "links carry a new `Signature=sandbox-signature-…` in every answer; false: served ones carry the same until "
        "it expires, kept ones none",
    )
    link_lifetime: int = knob(7 * 24 * 3600, "for how many seconds a signature is good")
    wrong_sizes: tuple[tuple[str, int], ...] = knob(
        (), "`[[glob, bytes], …]`: documents by id or name whose shown `size` is off by so many bytes"
    )
    no_ranges: tuple[str, ...] = knob(
        (), "globs over ids and names of documents (`vttUrl`: that file): sent whole where a `Range` is asked for"
    )
    gzipped: tuple[str, ...] = knob((), "globs likewise: sent with `Content-Encoding: gzip`, asked for or not")

    # Its delivery events
    delivery_events: Literal["appended", "unchanged", "empty", "absent"] = knob(
        "appended",
        "`deliveryEvents`: get the run's events; stay as they were; always `[]`; the field is never there",
    )
    delivery_events_delay: float = knob(0.0, "how long after it happened an event appears")

    # Its evaluation
    evaluation: Literal["kept", "cleared", "new", "loading"] = knob(
        "kept",
        "`latestEvaluation` after a rerun: the old one stays; is gone from the rerun on; a new one begins at the end "
        "of the run; a new one begins and loads for ever",
    )
    evaluation_after: float = knob(5.0, "from the end of the run to the end of the new evaluation")

    evaluation_field: Literal["latestEvaluation", "qcEvaluation"] = knob(
        "latestEvaluation", "the name under which an order shows its evaluation"
    )
    evaluation_shape: Literal["documented", "callback"] = knob(
        "documented",
        "how an order shows it: scores of `value` and `description`; as the answer to the POST has them, of `score` "
        "and `details`, with `segmentId` and `comments`",
    )

    # The evaluation that is asked for
    qc_success: bool = knob(True, "false: it is answered 200 with `success: false`, and does not happen")
    qc_no_credits: Literal[400, 402, 403] | None = knob(None, "refuse evaluations for want of credits with this status")
    qc_seconds: float | None = knob(
        10.0, "from its acceptance to its scores; 0: the answer to the POST has them; null: it loads for ever"
    )
    qc_meanwhile: Literal["loading", "kept", "cleared"] = knob(
        "loading", "until then the order shows: the new one with `isLoading` true; the old one; none"
    )
    qc_id: Literal["answered", "other"] = knob(
        "answered", "the id under which the order shows it: the `evalId` of the answer; another"
    )
    qc_scores: tuple[dict[str, float], ...] = knob(
        (),
        'the scores of the order\'s first evaluation, its second, …, by name: `[{"Accuracy": 60}, {"Accuracy": 95}]`; '
        "the last ones stay; none given: a little better with every run",
    )

    # How it is shown
    stale_every: int = knob(0, "every so-manieth GET of the order shows the past (a lagging replica); 0: none")
    stale_by: float = knob(60.0, "how far in the past that is")
    date_ahead: float = knob(
        0.0,
        "by how many seconds the `Date` of every answer is ahead of the clock that dates orders, as that of another "
        "machine; negative: behind (of the sandbox's default behaviour only)",
    )
    list_stale_by: float = knob(0.0, "how far in the past the list of orders shows the order")
    null_fields: tuple[str, ...] = knob(
        (), "fields shown as null, dotted inside objects and lists: `vttUrl`, `orderDocs.updatedAt`"
    )
    missing_fields: tuple[str, ...] = knob((), "fields left out, dotted likewise")
    ignored_filters: tuple[str, ...] = knob(
        (), "filters the list ignores: `status`, `projectId`, … (of the sandbox's default behaviour only)"
    )

    def __post_init__(self) -> None:
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            if value is not None and value < 0:
                raise SandboxError(f"Behaviour.{name} cannot be negative, but is {value}.")
        if not 200 <= self.rerun_accepted_status <= 299:
            raise SandboxError("Behaviour.rerun_accepted_status must be within 200 and 299.")
        if self.link_lifetime < 1:
            raise SandboxError("Behaviour.link_lifetime must be at least 1.")
        if self.error_status is not None and not 400 <= self.error_status <= 599:
            raise SandboxError("Behaviour.error_status must be within 400 and 599.")


_NOT_NEGATIVE = (
    "run_seconds",
    "status_hidden_for",
    "review_cancelled_after",
    "output_interval",
    "delivery_events_delay",
    "evaluation_after",
    "qc_seconds",
    "stale_every",
    "stale_by",
    "list_stale_by",
)
