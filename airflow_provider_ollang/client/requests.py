"""The requests of Ollang's API that this provider sends."""

from __future__ import annotations

import functools
import json
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow_provider_ollang.domain.arguments import names_of, order_id_of
from airflow_provider_ollang.domain.evaluations import CRITERIA
from airflow_provider_ollang.domain.values import plain_name
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_ollang.client.settings import Settings


CONNECT_TIMEOUT = 10.0
MAX_PAGE_SIZE = 50


@dataclass(frozen=True)
class Call:
    """
    One request of the protocol, before it has a host.

    :param method: HTTP method.
    :param path: path below the base URL, encoded.
    :param what: what it does, for messages: "get order 60b8…".
    :param order_id: the order it is about.
    :param query: decoded names and values.
    :param body: the JSON text to send.
    :param paid: whether processing it may cost money, so that it must never be sent again blindly.
    """

    method: str
    path: str
    what: str
    order_id: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    paid: bool = False

    def url(self, settings: Settings) -> str:
        """Return the whole URL."""
        query = f"?{urlencode(self.query)}" if self.query else ""
        return f"{settings.base_url}{self.path}{query}"

    def fields(self) -> dict[str, Any]:
        """Return what errors about this call carry."""
        return {"order_id": self.order_id, "method": self.method, "path": self.path}


def get_order(order_id: object) -> Call:
    """Return the request of `Get Order by ID`."""
    return _get_order(order_id_of(order_id))


# Waits look at the same orders again and again.
@functools.lru_cache(maxsize=4096)
def _get_order(one: str) -> Call:
    return Call("GET", f"/integration/orders/{quote(one, safe='')}", f"get order {one}", one)


def rerun_order(order_id: object) -> Call:
    """Return the request of `Rerun Order`."""
    one = order_id_of(order_id)
    path = f"/integration/orders/{quote(one, safe='')}/rerun"
    return Call("POST", path, f"rerun order {one}", one, body=b"{}", paid=True)


def evaluate_order(order_id: object, criteria: Iterable[str] | str | None, custom_prompt: str | None) -> Call:
    """
    Return the request of `QC Evaluation`.

    :param order_id: the order.
    :param criteria: those to judge, of :data:`CRITERIA`, as a collection or a comma-separated text; case, spaces, ``_``
        and ``-`` do not count. ``None``: all.
    :param custom_prompt: what else the evaluation should look at.
    :raises OllangConfigurationError: a criterion that there is not, none at all, or a prompt that is no text.
    """
    one = order_id_of(order_id)
    body: dict[str, Any] = {}
    if criteria is not None:
        wanted = {plain_name(name): name for name in names_of("criteria", criteria)}
        known = {plain_name(name): switch for name, switch in CRITERIA.items()}
        unknown = [name for key, name in wanted.items() if key not in known]
        if unknown:
            raise OllangConfigurationError(
                f"criteria names {unknown[0]!r}; there are {', '.join(CRITERIA)}.", order_id=one
            )
        body = {switch: key in wanted for key, switch in known.items()}
    if not isinstance(custom_prompt, str | None):
        raise OllangConfigurationError(f"custom_prompt must be a text, not {custom_prompt!r:.80}.", order_id=one)
    if custom_prompt:
        body["customPrompt"] = custom_prompt
    path = f"/integration/orders/{quote(one, safe='')}/qc"
    return Call("POST", path, f"evaluate order {one}", one, body=json.dumps(body).encode(), paid=True)


def list_orders(page: int, take: int, filters: Mapping[str, str | None]) -> Call:
    """
    Return the request of one page of `List Orders`.

    :param page: page number, from 1.
    :param take: rows a page, 1 to 50.
    :param filters: names as the API nests them, such as ``filter[type]``; those that are ``None`` are left out.
    :raises OllangConfigurationError: a filter is no text that can be sent.
    """
    for name, wanted in filters.items():
        if not isinstance(wanted, str | None):
            raise OllangConfigurationError(f"{name} must be a text, not {wanted!r:.80}.")
        if any(unicodedata.category(one) == "Cs" for one in wanted or ""):
            raise OllangConfigurationError(f"{name} {wanted!r:.80} holds half a character.")
    query = {"pageOptions[page]": str(page), "pageOptions[take]": str(take), **filters}
    pairs = tuple((name, value) for name, value in query.items() if value is not None)
    return Call("GET", "/integration/orders", "list orders", query=pairs)
