"""The sandbox's options: the fields of dataclasses are the only list of them.

Python, the HTTP API, the command line and the tables of docs/sandbox.md are derived from the fields. To add an option,
add a field to `Behaviour`.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    D = TypeVar("D", bound=DataclassInstance)


class SandboxError(ValueError):
    """A call or argument that the sandbox does not understand; `status` is of the admin API, not the imitated one."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def option(default: Any, about: str, *, within: tuple[int, int | None] | None = None) -> Any:
    """Make a dataclass field with a default, its one-line description, and the range of its numbers."""
    return dataclasses.field(default=default, metadata={"about": about, "within": within})


def require_ranges(options: DataclassInstance) -> None:
    """Raise SandboxError for a number that is out of its option's range."""
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.metadata["within"] is None or value is None:
            continue
        low, high = field.metadata["within"]
        if value < low or (high is not None and value > high):
            name = f"{type(options).__name__}.{field.name}"
            limits = f"at least {low}" if high is None else f"within {low} and {high}"
            raise SandboxError(f"{name} must be {limits}, not {value}.")


def parse_options(cls: type[D], values: Mapping[str, Any], base: D | None = None) -> D:
    """Return a `cls` made from JSON values; `base` (default: the defaults) has the values that are not given.

    :raises SandboxError: for an unknown name, with the nearest one that exists, or a value of the wrong kind.
    """
    hints = _hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    parsed = {}
    for name, value in values.items():
        if name not in names:
            raise SandboxError(f"{cls.__name__} has no {name!r}{_nearest(name, names)}")
        try:
            parsed[name] = _parse_value(hints[name], value)
        except _WrongKindError:
            raise SandboxError(f"{cls.__name__}.{name} takes {describe_type(hints[name])}, not {value!r}.") from None
    return dataclasses.replace(base, **parsed) if base is not None else cls(**parsed)


@functools.cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    return get_type_hints(cls)


def _nearest(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(names)}."


class _WrongKindError(Exception):
    pass


def _parse_value(hint: Any, value: Any) -> Any:  # noqa: PLR0911 - one return for each kind of hint
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (UnionType, Union):
        if value is None and NoneType in arguments:
            return None
        (hint,) = (argument for argument in arguments if argument is not NoneType)
        return _parse_value(hint, value)
    if origin is Literal and value in arguments and not isinstance(value, bool):
        return value
    if origin is dict and isinstance(value, dict):
        of = str if arguments[1] is str else functools.partial(_parse_value, arguments[1])
        return {str(key): of(item) for key, item in value.items()}
    if origin is tuple and isinstance(value, list | tuple):
        if arguments[-1] is Ellipsis:
            return tuple(_parse_value(arguments[0], item) for item in value)
        if len(arguments) == len(value):
            return tuple(_parse_value(*pair) for pair in zip(arguments, value, strict=True))
    if hint is float and is_number(value):
        return float(value)
    if hint in (bool, int, str) and type(value) is hint:
        return value
    raise _WrongKindError


def is_number(value: object) -> bool:
    """Tell whether a JSON value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def describe_type(hint: Any) -> str:
    """Return in words which values a type hint allows."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        return " or ".join("null" if argument is NoneType else describe_type(argument) for argument in arguments)
    if origin is Literal:
        return ", ".join(f"`{json.dumps(argument)}`" for argument in arguments)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"list of {describe_type(arguments[0])}"
        return f"[{', '.join(describe_type(argument) for argument in arguments)}]"
    if origin is dict:
        return "object" if arguments[1] is str else f"object of {describe_type(arguments[1])}"
    return {bool: "true or false", int: "whole number", float: "number", str: "text", Any: "any JSON"}[hint]


def options_table(cls: type[DataclassInstance]) -> str:
    """Return the options of a dataclass as a Markdown table."""
    hints = _hints(cls)
    lines = ["| name | values | default | what it does |", "|---|---|---|---|"]
    for field in dataclasses.fields(cls):
        default = json.dumps(field.default)
        about = field.metadata["about"]
        lines.append(f"| `{field.name}` | {describe_type(hints[field.name])} | `{default}` | {about} |")
    return "\n".join(lines)


@dataclass(frozen=True)
class Behaviour:
    """The options of one order, and those of the whole sandbox: what happens, and what responses look like.

    Each stands for something that Ollang's pages leave open; the default is the plainest guess. Times are sandbox
    seconds. A rerun reads its options when it is accepted; how an order is shown follows a changed option at once.

    :raises SandboxError: if a number is negative, or a status out of range, where that means nothing.
    """

    # The response to a rerun
    rerun_success: bool = option(True, "false: 200 with `success: false`, and no run")
    rerun_accepted_status: int = option(200, "HTTP status of an accepted rerun", within=(200, 299))
    rerun_while_running: Literal["400", "409", "accept", "by_status"] = option(
        "400", "a rerun during a run: 400, 409, the run starts again, or the shown status alone decides"
    )
    no_credits: Literal[400, 402, 403] | None = option(None, "refuse reruns for lack of credits with this status")
    processed_twice: bool = option(False, "one POST starts, and bills, two runs, or makes twice the projects or orders")
    answered_id: str | None = option(None, "the order id in responses, in place of the right one")
    error_style: Literal["documented", "unknown_error", "message_only"] = option(
        "documented", "error bodies: as documented; the `UnknownError` envelope; only a `message`"
    )
    error_status: int | None = option(None, "HTTP status of errors, in place of the documented one", within=(400, 599))

    # The run
    first_run: bool = option(False, "an added order that is not done starts its first run at once, without a rerun")
    run_seconds: float = option(30.0, "length of a run; the type's lifecycle is stretched to it", within=(0, None))
    status_path: tuple[tuple[float, str], ...] | None = option(
        None, "`[[seconds, status], …]` before the end, any words, in place of the type's lifecycle"
    )
    status_hidden_for: float | None = option(0.0, "how long the old status is shown; null: all along", within=(0, None))
    end_status: str | None = option("completed", "only `completed` and `delivered` bring results; null: never ends")
    review_cancelled_after: float | None = option(
        None, "level 1: when the review is cancelled: `completed`, level 0, no new results", within=(0, None)
    )

    # Its documents
    outputs: Literal["replaced", "in_place", "unchanged", "added"] = option(
        "replaced", "new outputs: have new ids; have a later `updatedAt`; do not differ; are added to the old ones"
    )
    outputs_after: float | None = option(2.0, "from the end to the first new output; negative: before; null: none")
    output_interval: float = option(0.0, "from one new output to the next", within=(0, None))
    outputs_during_run: Literal["kept", "removed", "null"] = option(
        "kept", "old outputs and `vttUrl` during the run; null: `orderDocs` is null"
    )
    draft_documents: bool = option(False, "level 1: the AI's draft replaces the outputs at `ai_delivered`")
    auxiliary_documents: bool = option(False, "a rerun adds an invoice, a thumbnail and a waveform at once")

    # The files behind them
    links: Literal["served", "kept"] | None = option(
        None, "lead to files; stay as they are, without files; null: `kept` for the vendor's example alone"
    )
    sign_links: bool = option(False, "every response has new links with a new `Signature=sandbox-signature-…`")
    link_lifetime: int = option(7 * 24 * 3600, "for how many seconds a link is valid", within=(1, None))
    wrong_sizes: tuple[tuple[str, int], ...] = option(
        (), "`[[glob, bytes], …]`: documents, by id or name, whose `size` is off by so much"
    )
    no_ranges: tuple[str, ...] = option((), "globs likewise, or `vttUrl`: files that ignore `Range`")
    gzipped: tuple[str, ...] = option((), "globs likewise: files sent with `Content-Encoding: gzip`")

    # Its delivery events
    delivery_events: Literal["appended", "unchanged", "empty", "absent"] = option(
        "appended", "`deliveryEvents` after a run; `empty` and `absent`: always"
    )
    delivery_events_delay: float = option(0.0, "from a delivery to its event", within=(0, None))

    # Its evaluation
    evaluation: Literal["kept", "cleared", "new", "loading"] = option(
        "kept", "`latestEvaluation` after a rerun: the old one; none; a new one; a new one that loads forever"
    )
    evaluation_field: Literal["latestEvaluation", "qcEvaluation"] = option("latestEvaluation", "which field has it")
    evaluation_shape: Literal["documented", "callback"] = option(
        "documented", "how an order shows it: as documented; as the response to the POST has it"
    )

    # An evaluation that is requested
    qc_success: bool = option(True, "false: 200 with `success: false`, and no evaluation")
    qc_no_credits: Literal[400, 402, 403] | None = option(None, "refuse evaluations for lack of credits")
    qc_seconds: float | None = option(
        10.0, "until it has scores; 0: the POST answers them; null: ever", within=(0, None)
    )
    qc_meanwhile: Literal["loading", "kept", "cleared"] = option(
        "loading", "until then the order shows: the new one with `isLoading` true; the old one; none"
    )
    qc_id: Literal["answered", "other"] = option("answered", "its id in the order: the `evalId` answered; another")
    qc_scores: tuple[dict[str, float], ...] = option(
        (), '`[{"Accuracy": 60}, …]`: scores of the order\'s first evaluation, its second, …; none: they rise with runs'
    )

    # Uploads and projects (whole sandbox only)
    max_upload_bytes: int | None = option(
        None, "size above which an upload gets 413; null: 30 GB of video or audio, 100 MB of others", within=(0, None)
    )
    upload_formats: tuple[str, ...] | None = option(
        None, "extensions of files that are taken, `mp4`, …; null: those documented"
    )
    upload_refused_early: bool = option(False, "that 413 is sent by `Content-Length`, before the body is read")
    upload_answer_after: float = option(
        0.0, "from the end of an upload to its response, in real seconds; the project is there", within=(0, None)
    )
    project_names: Literal["with_extension", "as_given"] = option(
        "with_extension", "a project's name: with the file's extension appended, as the vendor's TypeScript SDK says"
    )
    projects_hidden_for: float = option(0.0, "from an upload until the list has its project", within=(0, None))
    project_rows_with_docs: bool = option(True, "whether rows of the list of projects have `projectDocs`")

    # New orders (whole sandbox only)
    create_no_credits: Literal[400, 402, 403] | None = option(None, "refuse new orders for lack of credits")
    created_languages: int | None = option(
        None, "orders are made for the first N languages of a request alone", within=(0, None)
    )
    answered_languages: Literal["created", "all"] = option(
        "created", "entries of the answer: of the orders made; of every language, also where no order was made"
    )
    answered_types: bool = option(False, "entries of the answer have `orderType`")
    answered_reversed: bool = option(False, "entries of the answer are in the reverse order")
    child_orders: bool = option(
        False, "a request for `subtitle`, `aiDubbing` or `studioDubbing` makes, and answers, a `cc` order too"
    )
    created_project: str | None = option(None, "the project of new orders, in place of the requested one")
    orders_hidden_for: float = option(0.0, "from an order's `createdAt` until it is in the list", within=(0, None))

    # Its cancelling
    cancellable_for: float | None = option(
        10.0,
        "an order that is not `pending` can be cancelled so long after a run's start; null: to its end",
        within=(0, None),
    )
    cancelled_status: str | None = option("cancelled", "status of a cancelled order; null: it gets 404")
    repeated_cancel: Literal[204, 409] = option(409, "response to cancelling it again")

    # Human review that is requested
    review_at_level_1: Literal["400", "accept"] = option("400", "a request for it at level 1: 400, or another review")
    review_no_credits: Literal[400, 402, 403] | None = option(None, "refuse it for lack of credits")
    review_level_after: float | None = option(
        0.0, "from the request until `level` is 1; null: never; `outputs`: what it brings", within=(0, None)
    )
    review_info: bool = option(True, "false: `…/review/info` is an unknown path, 404")

    # Credits (whole sandbox only)
    total_credits: int = option(
        1_000_000, "credits of the account; nothing is refused when they are used up", within=(0, None)
    )
    billing_role: bool = option(True, "false: the key may not see the credits, 403")
    credits_as_text: bool = option(False, "the numbers are texts")

    # How it is shown
    stale_every: int = option(0, "every Nth GET returns a stale snapshot, as a lagging replica", within=(0, None))
    stale_by: float = option(60.0, "the age of that snapshot", within=(0, None))
    date_ahead: float = option(0.0, "by how much the `Date` header is ahead of the orders' clock (whole sandbox only)")
    list_stale_by: float = option(0.0, "the age of the snapshot in the list of orders", within=(0, None))
    null_fields: tuple[str, ...] = option(
        (), "fields of an order that are null, dotted inside: `vttUrl`, `orderDocs.updatedAt`; of projects too"
    )
    missing_fields: tuple[str, ...] = option(
        (), "fields that are absent, dotted likewise: `vttUrl`, `projectDocs.size`"
    )
    ignored_filters: tuple[str, ...] = option((), "filters the list ignores: `status`, … (whole sandbox only)")

    def __post_init__(self) -> None:
        require_ranges(self)


def parse_behaviour(value: Behaviour | Mapping[str, Any] | None, base: Behaviour) -> Behaviour:
    """Return a behaviour as it is, or options by name on top of `base`.

    :raises SandboxError: for an unknown option, or a value of the wrong kind.
    """
    if isinstance(value, Behaviour):
        return value
    if value is not None and not isinstance(value, Mapping):
        raise SandboxError(f"behaviour is an object of options, not {value!r}.")
    return parse_options(Behaviour, value, base) if value else base
