"""Links to the files of an order: signed, valid for a time, and what is behind them."""

from __future__ import annotations

import hashlib
import itertools
import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from airflow_provider_ollang.sandbox.catalogue import EXAMPLE_ID
from airflow_provider_ollang.sandbox.content import Content
from airflow_provider_ollang.sandbox.documents import documents_of, run_label, run_of_results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_ollang.sandbox.orders import Order

Json = dict[str, Any]
#: Every signed link carries this word, so that a leaked one can be searched for.
SIGNATURE = "sandbox-signature"
#: First part of the path of every file.
FILES = "/files"
#: In place of a document's id: the file of the order's `vttUrl`.
VTT = "vttUrl"
#: Links that begin so are the sandbox's own; any other one is left as it is.
OWN_LINKS = "https://example.com/"
_VTT_SIZE = 4096
_USUAL_SIZE = 6144
_RUN_IN_NAME = re.compile(r"_run(\d{1,9})(_draft)?(\.\w+)?$")
_numbers = itertools.count(1)


class File(NamedTuple):
    """What is behind a link.

    :param changed: when it was made, as the document has it.
    :param document: the document's id, and its name.
    """

    content: Content
    changed: object
    document: tuple[str, str]


def with_links(order: Order, shown: Json, files_url: str | None, now: int) -> Json:
    """Return an order with its links as its knobs want them; without altering it."""
    host = files_url if _are_served(order) else None
    if host is None and not order.behaviour.sign_links:
        return shown

    def led(link: Any, document_id: object) -> Any:
        if not isinstance(link, str) or not link:
            return link
        if host is not None and link.startswith(OWN_LINKS) and isinstance(document_id, str) and document_id:
            path = path_of(order.id, document_id, file_name(link))
            return f"{host}{path}?{_query(path, order, now)}"
        if not order.behaviour.sign_links:
            return link
        return f"{link}{'&' if '?' in link else '?'}{_query(link, order, now)}"

    return _replaced(shown, led)


def _are_served(order: Order) -> bool:
    wanted = order.behaviour.links
    return wanted == "served" or (wanted is None and order.id != EXAMPLE_ID)


def _replaced(shown: Json, led: Callable[[Any, object], Any]) -> Json:
    new = dict(shown)
    if VTT in new:
        new[VTT] = led(new[VTT], VTT)
    if isinstance(new.get("orderDocs"), list):
        new["orderDocs"] = [
            {**document, "url": led(document["url"], document.get("id"))}
            if isinstance(document, dict) and "url" in document
            else document
            for document in new["orderDocs"]
        ]
    return new


@lru_cache(maxsize=4096)
def file_name(link: str) -> str:
    """Return the last part of a link's path."""
    return urlsplit(link).path.rpartition("/")[2] or "file"


@lru_cache(maxsize=4096)
def path_of(order_id: str, document_id: str, name: str) -> str:
    """Return the path of a file."""
    return "/".join([FILES, *(quote(part, safe="", errors="surrogatepass") for part in (order_id, document_id, name))])


def _query(path: str, order: Order, now: int) -> str:
    life = order.behaviour.link_lifetime
    second = now // 1000
    if order.behaviour.sign_links:
        expires, number = second + life, next(_numbers)
    else:
        # The same link for everybody until it expires, as of a server that keeps the links it has signed.
        born = order.snapshots[0].at // 1000
        expires, number = born + ((second - born) // life + 1) * life, 0
    return f"Expires={expires}&Signature={_signature(path, expires, number)}"


@lru_cache(maxsize=4096)
def _signature(path: str, expires: int, number: int) -> str:
    seal = hashlib.sha256(f"{path} {expires} {number}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{SIGNATURE}-{number:08x}{seal}"


def is_signed(path: str, expires: str, signature: str) -> bool:
    """Tell whether the sandbox has signed a link, whenever it expires."""
    found = re.fullmatch(re.escape(SIGNATURE) + r"-([0-9a-f]{8,16})[0-9a-f]{16}", signature)
    if found is None or re.fullmatch(r"\d{1,15}", expires, re.ASCII) is None:
        return False
    return signature == _signature(path, int(expires), int(found[1], 16))


def file_of(order: Order, document_id: str, name: str | None = None) -> File | None:
    """Return what is behind a link of an order; of a document that was replaced, what there was.

    :param name: last part of the link's path; None: whatever it is.
    """
    for snapshot in reversed(order.snapshots):
        if document_id == VTT:
            found = _vtt(snapshot.order, name, is_latest=snapshot is order.snapshots[-1])
        else:
            found = _document(snapshot.order, document_id, name)
        if found is not None:
            return found
    return None


def _document(order: Json, document_id: str, name: str | None) -> File | None:
    for document in documents_of(order):
        if not isinstance(document, dict) or document.get("id") != document_id:
            continue
        link = document.get("url")
        if isinstance(link, str) and link.startswith(OWN_LINKS) and name in (None, file_name(link)):
            key = f"{document_id} run {run_label(document)}"
            content = Content(key, file_name(link), size_of(document))
            changed = document.get("updatedAt") or document.get("createdAt")
            return File(content, changed, (document_id, str(document.get("name"))))
    return None


def size_of(document: Json) -> int:
    """Return the size of a document's file."""
    size = document.get("size")
    sound = isinstance(size, int | float) and not isinstance(size, bool) and 0 <= size < 2**60 and size == int(size)
    return int(size) if sound and size is not None else _USUAL_SIZE


def _vtt(order: Json, name: str | None, *, is_latest: bool) -> File | None:
    link = order.get(VTT)
    if not isinstance(link, str) or not link.startswith(OWN_LINKS) or name not in (None, file_name(link)):
        return None
    found = _RUN_IN_NAME.search(file_name(link))
    run = int(found[1]) if found else 1
    if is_latest:
        # Where results are made anew in place, the link stays and leads to the newest.
        run = max(run, run_of_results(order))
    content = Content(f"{order.get('id')} {VTT} run {run}", file_name(link), _VTT_SIZE + 7 * run)
    return File(content, order.get("createdAt"), (VTT, VTT))


def is_among(globs: Iterable[str], document_id: object, name: object) -> bool:
    """Tell whether a document is meant by one of the globs over ids and names."""
    return any(fnmatchcase(str(each), glob) for glob in globs for each in (document_id, name))
