"""The imitated service: its orders and how it answers; what the HTTP control and the Python class both act on."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_ollang.sandbox import answers, qc
from airflow_provider_ollang.sandbox.answers import Answer
from airflow_provider_ollang.sandbox.behaviour import Behaviour
from airflow_provider_ollang.sandbox.catalogue import OWN, filled, start_orders
from airflow_provider_ollang.sandbox.clock import Clock, http_date, iso, milliseconds, parse_iso
from airflow_provider_ollang.sandbox.errors import SandboxError
from airflow_provider_ollang.sandbox.faults import Faults
from airflow_provider_ollang.sandbox.journal import Journal
from airflow_provider_ollang.sandbox.knobs import read
from airflow_provider_ollang.sandbox.links import File, file_of, is_among
from airflow_provider_ollang.sandbox.listing import QueryError, page_of, parse
from airflow_provider_ollang.sandbox.orders import Order
from airflow_provider_ollang.sandbox.reports import line_of, report_of
from airflow_provider_ollang.sandbox.reruns import acceptance, refusal
from airflow_provider_ollang.sandbox.stories import Change
from airflow_provider_ollang.sandbox.views import shown, shown_in_list

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox.content import Content

Json = dict[str, Any]


class Found(NamedTuple):
    """A file, and how it is sent."""

    file: File
    gzipped: bool
    ranges: bool


class Service:
    """All that a sandbox is but its socket. Safe to use from several threads.

    :param api_key: the key that the API takes in `X-Api-Key`.
    :param speed: sandbox seconds that pass in one real second; 0 stands still.
    :param behaviour: knobs of every order that has none of its own, as `Behaviour` or by name.
    :raises SandboxError: for an unknown knob or a negative speed.
    """

    def __init__(
        self,
        *,
        api_key: str = "sandbox-key",
        speed: float = 1.0,
        behaviour: Behaviour | Mapping[str, Any] | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.behaviour = _behaviour(behaviour, Behaviour())
        self._start = (api_key, speed)
        self.log = Journal()
        self.faults = Faults()
        self.connections = 0
        self._orders: dict[str, Order] = {}
        self.reset()

    @property
    def files_url(self) -> str | None:
        """Base address of the host of the files; None where there is none."""
        return None

    # The API

    def get_order(self, order_id: str) -> Answer:
        """Answer *Get Order by ID*."""
        with self.lock:
            order = self._orders.get(order_id)
            if order is None:
                return answers.NOT_FOUND.answer(self.behaviour)
            if order.owner != OWN:
                return answers.NO_ACCESS.answer(order.behaviour)
            now = self._settle(order)
            return Answer(200, shown(order, now, self.files_url))

    def rerun_order(self, order_id: str) -> Answer:
        """Answer *Rerun Order*."""
        with self.lock:
            order = self._orders.get(order_id)
            if order is None:
                return answers.NOT_FOUND.answer(self.behaviour)
            if order.owner != OWN:
                return answers.NO_RERUN.answer(order.behaviour)
            now = self._settle(order)
            refused = refusal(order)
            if refused is not None:
                order.reruns_refused += 1
                return refused
            for _ in range(2 if order.behaviour.processed_twice else 1):
                order.start_run(now)
            return acceptance(order)

    def evaluate_order(self, order_id: str, body: Json) -> Answer:
        """Answer a quality check."""
        with self.lock:
            problem = qc.problem_of(body)
            if problem is not None:
                return answers.bad_body(problem).answer(self.behaviour)
            order = self._orders.get(order_id)
            if order is None:
                return answers.NOT_FOUND.answer(self.behaviour)
            if order.owner != OWN:
                return answers.NO_EVALUATION.answer(order.behaviour)
            now = self._settle(order)
            refused = qc.refusal(order)
            if refused is not None:
                order.evaluations_refused += 1
                return refused
            evaluation = qc.begin(order, body, now)
            order.start_evaluation(evaluation)
            return qc.acceptance(evaluation, order.behaviour)

    def list_orders(self, query: str) -> Answer:
        """Answer the list of orders: those of the key's account."""
        with self.lock:
            try:
                wanted = parse(query, self.behaviour.ignored_filters)
            except QueryError as error:
                return answers.bad_query(str(error)).answer(self.behaviour)
            own = [order for order in self._orders.values() if order.owner == OWN]
            rows = [shown_in_list(order, self._settle(order)) for order in own]
            return Answer(200, page_of(rows, wanted))

    def find_file(self, order_id: str, document_id: str, name: str) -> Found | None:
        """Return what is behind a link."""
        with self.lock:
            order = self._orders.get(order_id)
            if order is None:
                return None
            self._settle(order)
            file = file_of(order, document_id, name)
            if file is None:
                return None
            behaviour = order.behaviour
            gzipped, whole = (is_among(globs, *file.document) for globs in (behaviour.gzipped, behaviour.no_ranges))
            return Found(file, gzipped=gzipped, ranges=not whole)

    # The control

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

        :param order: fields of the order in the API's words; what they leave out is as usual for its
            type, status and level.
        :param owner: `"own"`: the account of the key; any other name: another account.
        :param behaviour: a `Behaviour`, or knobs by name on top of the sandbox's own.
        :param exact: take the order as it is and fill in nothing.
        :param files: the results it has, in place of those of its type, as `orderDocs` has them; a name is enough:
            `[{"name": "film.mp4", "size": 5_000_000_000}]`.
        :param fields: more fields, as keywords.
        :return: the order's id; one is made up if none is given.
        :raises SandboxError: for an unknown knob, an id that is no text, or files that are none.
        """
        with self.lock:
            said = {**(order or {}), **fields}
            order_id = said.setdefault("id", f"{0x5A0000000000000000000000 + len(self._orders):024x}")
            if not isinstance(order_id, str) or not order_id:
                raise SandboxError(f"An order's id is a text, not {order_id!r}.")
            now = self.clock.now()
            if files is not None and (exact or "orderDocs" in said):
                raise SandboxError("An order is given either files, or its orderDocs as they are.")
            whole = said if exact else filled(said, now, files)
            knobs = _behaviour(behaviour, self.behaviour)
            self._orders[order_id] = Order.create(order_id, whole, owner, knobs, now)
            return order_id

    def change_order(
        self,
        order_id: str,
        order: Json | None = None,
        *,
        owner: str | None = None,
        behaviour: Behaviour | Mapping[str, Any] | None = None,
        after: float = 0,
        at: str | None = None,
        **fields: Any,
    ) -> None:
        """Change an order as another person would, now or later.

        :param order: fields to change; objects are merged, lists replaced, null stays null. A `status`
            ends the run that is going on: what it had still in store does not happen.
        :param owner: a new owner, at once.
        :param behaviour: knobs, at once; a run that is going on keeps its story.
        :param after: sandbox seconds from now until the fields change.
        :param at: that time by the sandbox's clock instead, ISO 8601.
        :raises SandboxError: if there is no such order or knob, or the time has passed.
        """
        with self.lock:
            changed = self._order(order_id)
            now = self._settle(changed)
            moment = _moment(now, after, at)
            said = copy.deepcopy({**(order or {}), **fields})
            if said.get("id", order_id) != order_id:
                raise SandboxError(f"Order {order_id} cannot become {said['id']!r}; see the knob `answered_id`.")
            if behaviour is not None:
                changed.behaviour = _behaviour(behaviour, changed.behaviour)
            if owner is not None:
                changed.owner = owner
            if said:
                change = Change(
                    moment,
                    "control",
                    lambda target: target.update(_merged(target, said)),
                    takes_over="status" in said,
                    of_story=False,
                )
                changed.happen(change)
                self._settle(changed)

    def order(self, order_id: str) -> Json:
        """Return all about an order: as it is, behaviour, owner, counts, and each status it went through.

        :raises SandboxError: if there is no such order.
        """
        with self.lock:
            order = self._order(order_id)
            self._settle(order)
            return report_of(order, self.clock)

    def content(self, order_id: str, document_id: str) -> Content:
        """Return what the file of a document holds; of a document that was replaced, what it held.

        :param document_id: the document's id, or `vttUrl` for the file behind that.
        :raises SandboxError: if there is no such order, or no such file of the sandbox.
        """
        with self.lock:
            order = self._order(order_id)
            self._settle(order)
            found = file_of(order, document_id)
            if found is None:
                raise SandboxError(f"Order {order_id} has no file {document_id!r} in the sandbox.", status=404)
            return found.content

    def overview(self) -> Json:
        """Return what there is: clock, orders, faults, counts."""
        with self.lock:
            for order in self._orders.values():
                self._settle(order)
            return {
                "clock": self.time(),
                "requests": self.log.last,
                "connections": self.connections,
                "files": self.files_url,
                "orders": [line_of(order) for order in self._orders.values()],
                "faults": [armed.as_json() for armed in self.faults.all()],
            }

    def time(self) -> Json:
        """Return the clock's time and speed."""
        with self.lock:
            return {"time": iso(self.clock.now()), "speed": self.clock.speed}

    def http_date(self, after: float = 0) -> str:
        """Return the time so many seconds from now, as the headers of its answers have it."""
        with self.lock:
            return http_date(self.clock.now() + milliseconds(after + self.behaviour.date_ahead))

    def reset(self) -> None:
        """Be as at the start: its orders, key and speed, no faults, an empty journal."""
        with self.lock:
            self.api_key, speed = self._start
            self.clock = Clock(speed)
            self.faults.remove()
            self.log.clear()
            now = self.clock.now()
            self._orders = {
                start.order["id"]: Order.create(
                    start.order["id"],
                    start.order,
                    start.owner,
                    _behaviour(start.behaviour, self.behaviour),
                    now,
                )
                for start in start_orders(now)
            }

    def _order(self, order_id: str) -> Order:
        order = self._orders.get(order_id)
        if order is None:
            raise SandboxError(f"The sandbox has no order {order_id!r}.", status=404)
        return order

    def _settle(self, order: Order) -> int:
        now = self.clock.now()
        order.settle(now)
        return now


def _behaviour(given: Behaviour | Mapping[str, Any] | None, base: Behaviour) -> Behaviour:
    if isinstance(given, Behaviour):
        return given
    if given is not None and not isinstance(given, Mapping):
        raise SandboxError(f"behaviour is an object of knobs, not {given!r}.")
    return read(Behaviour, given or {}, base)


def _moment(now: int, after: float, at: str | None) -> int:
    if at is None:
        moment = now + milliseconds(after)
    else:
        parsed = parse_iso(at)
        if parsed is None:
            raise SandboxError(f"at is a time in ISO 8601, not {at!r}.")
        moment = parsed
    if moment < now:
        raise SandboxError("An order cannot be changed in the past.")
    return moment


def _merged(old: Json, changes: Json) -> Json:
    """Return `old` with changes, without altering it: it may be part of the order's past."""
    new = dict(old)
    for name, value in changes.items():
        before = old.get(name)
        new[name] = _merged(before, value) if isinstance(value, dict) and isinstance(before, dict) else value
    return new
