"""The imitated service: its state, what its API responds, and what the admin API and Python can do to it."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.sandbox import cancellation, evaluations, lifecycle, lists, responses, reviews
from airflow_provider_ollang.sandbox.account import Account
from airflow_provider_ollang.sandbox.clock import parse_iso, to_http_date, to_iso, to_milliseconds
from airflow_provider_ollang.sandbox.faults import Faults
from airflow_provider_ollang.sandbox.files import File, file_of
from airflow_provider_ollang.sandbox.options import Behaviour, SandboxError, parse_behaviour
from airflow_provider_ollang.sandbox.order import OWN, Change, Json, Order
from airflow_provider_ollang.sandbox.request_log import RequestLog
from airflow_provider_ollang.sandbox.responses import ApiError, Response
from airflow_provider_ollang.sandbox.start_orders import start_orders, with_usual_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_ollang.sandbox.files import Content


class Service(Account):
    """All of a sandbox but its sockets; its parameters are those of `Sandbox`. Safe to use from several threads."""

    def __init__(
        self,
        *,
        api_key: str = "sandbox-key",
        speed: float = 1.0,
        behaviour: Behaviour | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(speed, behaviour)
        self._start = (api_key, speed)
        self.log = RequestLog()
        self.faults = Faults()
        self.connections = 0
        self.reset()

    @property
    def files_url(self) -> str | None:
        """Base address of the host of the files; None where there is none."""
        return None

    # The API

    def get_order(self, order_id: str) -> Response:
        """Respond to *Get Order by ID*."""

        def show(order: Order, now: int) -> Response:
            return Response(200, responses.order_body(order, now, self.files_url))

        return self._respond(order_id, responses.NO_ACCESS, show)

    def list_orders(self, query: str) -> Response:
        """Respond to the list of orders: those of the key's account."""
        with self.lock:
            rows = [
                order.at(self._catch_up(order) - to_milliseconds(order.behaviour.list_stale_by))
                for order in self._orders.values()
                if order.owner == OWN and not order.is_gone and self._is_listed(order)
            ]
            return self._page(lambda: lists.order_page(rows, query, self.behaviour.ignored_filters))

    def _is_listed(self, order: Order) -> bool:
        created, hidden_for = (
            parse_iso(order.latest.get("createdAt")),
            to_milliseconds(order.behaviour.orders_hidden_for),
        )
        return created is None or self.clock.now() >= created + hidden_for

    def rerun_order(self, order_id: str) -> Response:
        """Respond to *Rerun Order*."""
        return self._respond(order_id, responses.NO_RERUN, lifecycle.rerun)

    def evaluate_order(self, order_id: str, body: Json) -> Response:
        """Respond to a request for an evaluation."""
        problem = evaluations.body_problem(body)
        if problem is not None:
            return responses.bad_request("Bad Request", problem).response(self.behaviour)
        evaluate = functools.partial(evaluations.evaluate, body)
        return self._respond(order_id, responses.NO_EVALUATION, evaluate)

    def cancel_order(self, order_id: str) -> Response:
        """Respond to the cancelling of an order; also of one that is found no longer because of that."""
        return self._respond(order_id, responses.NO_CANCELLATION, cancellation.cancel, is_gone_too=True)

    def request_review(self, order_id: str) -> Response:
        """Respond to a request for human review."""
        return self._respond(order_id, responses.NO_REVIEW, reviews.request_review)

    def cancel_review(self, order_id: str) -> Response:
        """Respond to the cancelling of a human review."""
        return self._respond(order_id, responses.NO_REVIEW, reviews.cancel_review)

    def review_info(self, order_id: str) -> Response:
        """Respond to a request for the gate at which an order waits for people."""
        return self._respond(order_id, responses.NO_ACCESS, reviews.review_info)

    def _respond(
        self,
        order_id: str,
        forbidden: ApiError,
        act: Callable[[Order, int], Response],
        *,
        is_gone_too: bool = False,
    ) -> Response:
        """Respond to a request about an order: 404, 403, or what `act` makes of the order and the current moment."""
        with self.lock:
            order = self._orders.get(order_id)
            if order is None or (order.is_gone and not is_gone_too):
                return responses.NOT_FOUND.response(self.behaviour)
            if order.owner != OWN:
                return forbidden.response(order.behaviour)
            return act(order, self._catch_up(order))

    def find_file(self, order_id: str, document_id: str, name: str) -> File | None:
        """Return what is behind a link."""
        with self.lock:
            order = self._orders.get(order_id)
            if order is None:
                return None
            self._catch_up(order)
            return file_of(order, document_id, name)

    # The admin API and Python

    def add_order(
        self,
        order: Json | None = None,
        *,
        owner: str = OWN,
        behaviour: Behaviour | Mapping[str, Any] | None = None,
        exact: bool = False,
        files: Sequence[Json] | None = None,
        **fields: Any,
    ) -> str:
        """Create an order, or replace the one of that id.

        :param order: fields of the order, named as in the API; the others are as usual for its type, status and level.
        :param owner: `"own"`: the account of the key; any other name: another account.
        :param behaviour: a `Behaviour`, or options by name on top of the sandbox's own.
        :param exact: take the order as it is, without the usual fields.
        :param files: the outputs it has, in place of those of its type, as `orderDocs` has them; a name is enough:
            `[{"name": "film.mp4", "size": 5_000_000_000}]`.
        :param fields: more fields, as keywords.
        :return: the order's id; one is made up if none is given.
        :raises SandboxError: for an unknown option, an id that is no text, or files that are none.
        """
        with self.lock:
            fields = {**(order or {}), **fields}
            order_id = fields.setdefault("id", f"{0x5A0000000000000000000000 + len(self._orders):024x}")
            if not isinstance(order_id, str) or not order_id:
                raise SandboxError(f"An order's id is a text, not {order_id!r}.")
            if files is not None and (exact or "orderDocs" in fields):
                raise SandboxError("An order is given either files, or its orderDocs as they are.")
            now = self.clock.now()
            body = fields if exact else with_usual_fields(fields, now, files)
            self._create(order_id, body, owner, parse_behaviour(behaviour, self.behaviour), now)
            return order_id

    def _create(self, order_id: str, body: Json, owner: str, behaviour: Behaviour, now: int) -> None:
        order = Order.create(order_id, body, owner, behaviour, now)
        if behaviour.first_run and not order.is_done:
            lifecycle.begin_run(order, now)
        self._orders[order_id] = order

    def change_order(
        self,
        order_id: str,
        order: Json | None = None,
        *,
        owner: str | None = None,
        behaviour: Behaviour | Mapping[str, Any] | None = None,
        after: float = 0,
        **fields: Any,
    ) -> None:
        """Change an order as another user would, now or later.

        :param order: fields to change; objects are merged, lists replaced, null stays null. A `status` ends the run
            that is going on: what it has still planned does not happen.
        :param owner: a new owner, at once.
        :param behaviour: options, at once; a run that is going on keeps its own.
        :param after: sandbox seconds from now until the fields change.
        :raises SandboxError: if there is no such order or option, or `after` is negative.
        """
        with self.lock:
            target = self._order(order_id)
            moment = self._catch_up(target) + to_milliseconds(after)
            if after < 0:
                raise SandboxError("An order cannot be changed in the past.")
            fields = copy.deepcopy({**(order or {}), **fields})
            if fields.get("id", order_id) != order_id:
                raise SandboxError(f"Order {order_id} cannot become {fields['id']!r}; see the option `answered_id`.")
            if behaviour is not None:
                target.behaviour = parse_behaviour(behaviour, target.behaviour)
            if owner is not None:
                target.owner = owner
            if fields:
                ends_run = "status" in fields
                target.plan(
                    [Change(moment, "admin", lambda body: _merged(body, fields), "admin", cancels_run=ends_run)]
                )
                self._catch_up(target)

    def order(self, order_id: str) -> Json:
        """Return all about an order: as it is, behaviour, owner, counts, and each status it went through.

        :raises SandboxError: if there is no such order.
        """
        with self.lock:
            order = self._order(order_id)
            self._catch_up(order)
            return order.report()

    def content(self, order_id: str, document_id: str) -> Content:
        """Return what the file of a document holds; of a document that was replaced, what it held.

        :param document_id: the document's id, or `vttUrl` for the file behind that.
        :raises SandboxError: if there is no such order, or no such file of the sandbox.
        """
        with self.lock:
            order = self._order(order_id)
            self._catch_up(order)
            file = file_of(order, document_id)
            if file is None:
                raise SandboxError(f"Order {order_id} has no file {document_id!r} in the sandbox.", status=404)
            return file.content

    def overview(self) -> Json:
        """Return clock, orders, faults and counts."""
        with self.lock:
            for order in self._orders.values():
                self._catch_up(order)
            return {
                "clock": self.time(),
                "requests": self.log.last,
                "connections": self.connections,
                "files": self.files_url,
                "counts": self.counts(),
                "orders": [order.summary() for order in self._orders.values()],
                "faults": [fault.as_json() for fault in self.faults.active],
            }

    def time(self) -> Json:
        """Return the clock's time and speed."""
        with self.lock:
            return {"time": to_iso(self.clock.now()), "speed": self.clock.speed}

    def http_date(self, after: float = 0) -> str:
        """Return the time so many seconds from now, as the `Date` of its responses has it."""
        with self.lock:
            return to_http_date(self.clock.now() + to_milliseconds(after + self.behaviour.date_ahead))

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock on."""
        with self.lock:
            self.clock.advance(seconds)

    def set_speed(self, speed: float) -> None:
        """Let the sandbox's time pass at another speed; 0 stops it."""
        with self.lock:
            self.clock.set_speed(speed)

    def reset(self) -> None:
        """Be as at the start: its orders, key and speed, no faults, an empty request log."""
        with self.lock:
            self.api_key, speed = self._start
            self._begin(speed)
            self.faults.remove()
            self.log.clear()
            now = self.clock.now()
            for order, owner, behaviour in start_orders(now):
                self._create(order["id"], order, owner, parse_behaviour(behaviour, self.behaviour), now)

    def _order(self, order_id: str) -> Order:
        order = self._orders.get(order_id)
        if order is None:
            raise SandboxError(f"The sandbox has no order {order_id!r}.", status=404)
        return order

    def _catch_up(self, order: Order) -> int:
        """Let happen to an order what is due, and return the current moment."""
        now = self.clock.now()
        order.catch_up(now)
        return now


def _merged(old: Json, changes: Json) -> Json:
    """Return `old` with changes, without altering it: it may be part of the order's past."""

    def merge(before: Any, value: Any) -> Any:
        return _merged(before, value) if isinstance(value, dict) and isinstance(before, dict) else value

    return {**old, **{name: merge(old.get(name), value) for name, value in changes.items()}}
