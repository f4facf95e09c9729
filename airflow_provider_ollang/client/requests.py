"""The requests of Ollang's API that this provider sends."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self
from urllib.parse import quote, urlencode

from airflow_provider_ollang.domain.arguments import parse_names, parse_order_id
from airflow_provider_ollang.domain.evaluations import CRITERIA
from airflow_provider_ollang.domain.values import plain_name
from airflow_provider_ollang.exceptions import OllangConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from airflow_provider_ollang.client.settings import Settings
    from airflow_provider_ollang.domain.creation import OrderSpec


CONNECT_TIMEOUT = 10.0
MAX_PAGE_SIZE = 50
#: The filters of :func:`list_orders` that name one exact value of a row's field. What the server lets through is
#: compared again, since the orders that are listed may be rerun: Ollang's pages disagree on which filters a server
#: knows, and on whether a name may be a part of one.
EXACT_FILTERS = {
    "filter[type]": "type",
    "filter[status]": "status",
    "filter[name]": "name",
    "filter[projectId]": "projectId",
}

_CHUNK = 64 * 1024


class Readable(Protocol):
    """A file that is read from its start to its end."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def read(self, size: int, /) -> bytes:
        """Read no more than so many bytes; none are the end."""


@dataclass(frozen=True)
class Stream:
    """
    A request body of known length that is read while it is sent, in constant memory.

    It goes out with a ``Content-Length`` and never chunked: Ollang's server fails on chunked bodies.

    :param open: opens a binary file; called for each attempt.
    :param length: how many bytes it has.
    :param content_type: its media type, with the boundary of a multipart body.
    :param before_last: called before the last piece: until then the server has no whole request. What it raises ends
        the attempt.
    """

    open: Callable[[], Readable]
    length: int
    content_type: str
    before_last: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body piece by piece: see :meth:`pieces`."""
        return self.pieces()

    def pieces(self, on_last: Callable[[], None] = lambda: None) -> Iterator[bytes]:
        """
        Yield the body piece by piece.

        :param on_last: called after ``before_last``, when nothing keeps the last piece any more.
        :raises ValueError: the file is not as long as it was said to be; its last piece was not yielded then.
        """
        left = self.length
        wrong_length = ValueError(f"the body to send is not of {self.length} bytes any more")
        with self.open() as file:
            while left and (piece := file.read(min(left, _CHUNK))):
                left -= len(piece)
                if not left:
                    if file.read(1):
                        raise wrong_length
                    self.before_last()
                    on_last()
                yield piece
        if left:
            raise wrong_length


@dataclass(frozen=True)
class Request:
    """
    One request of the API, before it has a host.

    :param path: path below the base URL, encoded.
    :param what: what it does, for messages: "get order 60b8…".
    :param order_id: the order it is about; ``None`` if there is none, or not yet.
    :param query: decoded names and values.
    :param body: what to send: JSON, or a stream of known length.
    :param paid: whether processing it may cost money, so that it must never be sent again blindly.
    :param expects: what a good response has: a JSON ``"object"``, a JSON ``"list"`` of objects, or an ``"empty"`` body.
    :param response_timeout: seconds for the whole response, where it takes longer than the settings allow.
    :param secret: a part of the body that no message may show, even if the server says it.
    :param effect: what Ollang shows if a paid request was processed, for messages.
    :param if_sent_twice: what a paid request could do if it were sent again, for messages.
    """

    method: str
    path: str
    what: str
    order_id: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | Stream | None = field(default=None, repr=False)
    paid: bool = False
    expects: Literal["object", "list", "empty"] = "object"
    response_timeout: float | None = None
    secret: str | None = field(default=None, repr=False)
    effect: str = "the order is being processed or has a new result"
    if_sent_twice: str = "be billed twice"

    def url(self, settings: Settings) -> str:
        """Return the whole URL."""
        query = f"?{urlencode(self.query)}" if self.query else ""
        return f"{settings.base_url}{self.path}{query}"

    def headers(self) -> dict[str, str]:
        """Return the headers of this request's body."""
        if self.body is None:
            return {}
        content_type = self.body.content_type if isinstance(self.body, Stream) else "application/json"
        return {"Content-Type": content_type}

    def fields(self) -> dict[str, Any]:
        """Return what errors about this request carry."""
        return {"order_id": self.order_id, "method": self.method, "path": self.path}


def get_order(order_id: object) -> Request:
    """Return the request of `Get Order by ID`."""
    order_id = parse_order_id(order_id)
    return Request("GET", _order_path(order_id), f"get order {order_id}", order_id)


def rerun_order(order_id: object) -> Request:
    """Return the request of `Rerun Order`."""
    order_id = parse_order_id(order_id)
    return Request("POST", _order_path(order_id, "/rerun"), f"rerun order {order_id}", order_id, body=b"{}", paid=True)


def evaluate_order(order_id: object, criteria: Iterable[str] | str | None, custom_prompt: str | None) -> Request:
    """
    Return the request of `QC Evaluation`.

    :param criteria: of :data:`CRITERIA`; case, spaces, ``_`` and ``-`` do not count. ``None``: all.
    :raises OllangConfigurationError: a criterion that there is not, none at all, or a prompt that is no text.
    """
    order_id = parse_order_id(order_id)
    body: dict[str, Any] = {} if criteria is None else _criteria_switches(criteria, order_id)
    if not isinstance(custom_prompt, str | None):
        raise OllangConfigurationError(f"custom_prompt must be a text, not {custom_prompt!r:.80}.", order_id=order_id)
    if custom_prompt:
        body["customPrompt"] = custom_prompt
    return Request(
        "POST",
        _order_path(order_id, "/qc"),
        f"evaluate order {order_id}",
        order_id,
        body=json.dumps(body).encode(),
        paid=True,
    )


def _criteria_switches(criteria: Iterable[str] | str, order_id: str) -> dict[str, bool]:
    """Return each switch of the API, on if its criterion is named."""
    names = {plain_name(name): name for name in parse_names("criteria", criteria)}
    switches = {plain_name(name): switch for name, switch in CRITERIA.items()}
    unknown = [name for key, name in names.items() if key not in switches]
    if unknown:
        raise OllangConfigurationError(
            f"criteria names {unknown[0]!r}; there are {', '.join(CRITERIA)}.", order_id=order_id
        )
    return {switch: key in names for key, switch in switches.items()}


def create_order(spec: OrderSpec, languages: Sequence[str] | None = None) -> Request:
    """
    Return the request of `Create Order`: one for all languages.

    :param spec: what to create.
    :param languages: the languages to create it for now; default all.
    """
    body = json.dumps(spec.to_body(spec.languages if languages is None else languages)).encode()
    what = f"create orders of {spec.label}"
    return Request(
        "POST",
        "/integration/orders/create",
        what,
        body=body,
        paid=True,
        expects="list",
        secret=spec.options.get("callbackUrl"),
        effect="the project has new orders",
    )


def cancel_order(order_id: object) -> Request:
    """Return the request of `Cancel Order`; a repeated one changes nothing, so it may be sent again."""
    order_id = parse_order_id(order_id)
    path = f"/integration/orders/cancel/{quote(order_id, safe='')}"
    return Request("POST", path, f"cancel order {order_id}", order_id, expects="empty")


def review_order(order_id: object) -> Request:
    """Return the request of `Human Review`, which people at Ollang do and which is billed."""
    order_id = parse_order_id(order_id)
    what = f"request a human review of order {order_id}"
    return Request("POST", _order_path(order_id, "/human-review"), what, order_id, paid=True, expects="empty")


def cancel_review(order_id: object) -> Request:
    """Return the request of `Cancel Human Review`; a repeated one is refused and changes nothing."""
    order_id = parse_order_id(order_id)
    what = f"cancel the human review of order {order_id}"
    return Request("POST", _order_path(order_id, "/cancel-human-review"), what, order_id)


def get_review_info(order_id: object) -> Request:
    """Return the request that tells what an order in ``review`` is paused for; only the vendor's SDKs have it."""
    order_id = parse_order_id(order_id)
    return Request("GET", _order_path(order_id, "/review/info"), f"get the review of order {order_id}", order_id)


def list_orders(page: int, take: int, filters: Mapping[str, str | None]) -> Request:
    """
    Return the request of one page of `List Orders`.

    :param page: from 1.
    :param take: rows a page, 1 to 50.
    :param filters: names as the API nests them, such as ``filter[type]``; those that are ``None`` are left out.
    :raises OllangConfigurationError: a filter is no text that can be sent.
    """
    paging = {"pageOptions[page]": str(page), "pageOptions[take]": str(take)}
    return Request("GET", "/integration/orders", "list orders", query=parse_filters({**paging, **filters}))


def parse_filters(filters: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    """
    Return the filters of a list that are not ``None``, as names and values.

    :raises OllangConfigurationError: one is no text that can be sent.
    """
    for name, value in filters.items():
        if not isinstance(value, str | None):
            raise OllangConfigurationError(f"{name} must be a text, not {value!r:.80}.")
        if any(unicodedata.category(character) == "Cs" for character in value or ""):
            raise OllangConfigurationError(f"{name} {value!r:.80} holds half a character.")
    return tuple((name, value) for name, value in filters.items() if value is not None)


def _order_path(order_id: str, action: str = "") -> str:
    return f"/integration/orders/{quote(order_id, safe='')}{action}"
