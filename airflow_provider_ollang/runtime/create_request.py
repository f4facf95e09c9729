"""The paid request for new orders, as :func:`.submit_once` submits it."""

from __future__ import annotations

import dataclasses
from datetime import UTC
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.client.requests import create_order, list_orders
from airflow_provider_ollang.domain.arguments import is_same_id
from airflow_provider_ollang.domain.creation import CreationReceipt
from airflow_provider_ollang.domain.orders import DONE_STATUSES, FAILURE_STATUSES
from airflow_provider_ollang.domain.polling import DENIAL_PAUSE
from airflow_provider_ollang.domain.receipts import DATE_RESOLUTION, LONGEST_SKEW
from airflow_provider_ollang.domain.submission import POLL_FIRST_TIMEOUT, reconcile_delays
from airflow_provider_ollang.domain.values import parse_text, parse_time
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangOrderNotFoundError,
    OllangOutcomeUnknownError,
)
from airflow_provider_ollang.runtime.paid_request import Effect, PaidRequest, outcome_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from airflow_provider_ollang.client.sync import OllangClient
    from airflow_provider_ollang.domain.creation import OrderSpec
    from airflow_provider_ollang.domain.orders import Order
    from airflow_provider_ollang.runtime.paid_request import OnRunningBefore


class CreateRequest(PaidRequest[CreationReceipt]):
    """
    `Create Order`: what it makes shows as new orders of the project, one for each language.

    :param spec: what to create.
    :param sleep: waits, given seconds, for orders that do not show yet.
    :param log: the task's logger.
    """

    noun = "order"
    receipt_class = CreationReceipt

    def __init__(self, spec: OrderSpec, *, sleep: Callable[[float], None], log: Any) -> None:
        self.subject = spec.subject
        self.label = spec.label
        self._spec = spec
        self._sleep = sleep
        self._log = log
        #: Orders that have the level asked for, or do not tell theirs.
        self._of_level: set[str] = set()

    def precheck(self, client: OllangClient, *, on_running: OnRunningBefore) -> CreationReceipt:
        """
        Note which orders there are, of all pages, and the time of the server before that.

        :param client: sends the poll.
        :param on_running: ``"reconnect"``: to orders that are not done or failed yet, if there is exactly one for each
            language. Otherwise there is nothing to attach to: orders of another task are no result of this one.
        """
        _, polled_at = client.get_dated_page(list_orders(1, 1, self._filters))
        rows = [row for row in client.list_orders(self._filters) if self._is_alike(row)]
        since = polled_at and polled_at - LONGEST_SKEW
        receipt = CreationReceipt(
            host=client.settings.base_url,
            message=None,
            requested_at=polled_at.isoformat() if polled_at else None,
            reconnected=False,
            subject=self.subject,
            project_id=self._spec.project_id,
            order_type=self._spec.order_type,
            level=self._spec.level,
            languages=list(self._spec.languages),
            before=[row["id"] for row in rows if not _is_dated_before(row, since)],
        )
        if on_running != "reconnect":
            return receipt
        at_work = (row for row in rows if _is_at_work(row) and receipt.language_of(row.get("targetLanguage")))
        running = _by_language(receipt, (row for row in at_work if self._is_of_level(client, row["id"])))
        if any(len(running[language]) != 1 for language in receipt.languages):
            return receipt
        orders = {language: running[language][0]["id"] for language in receipt.languages}
        self._log.info("There are such orders already: %s. Not submitting.", ", ".join(orders.values()))
        return receipt.with_orders(orders).as_reconnected()

    def send(self, client: OllangClient, receipt: CreationReceipt) -> CreationReceipt:
        """Send the request once, for the languages that have no order yet."""
        request = create_order(self._spec, receipt.missing)
        accepted = client.submit(request)
        ids = (parse_text(entry.get("orderId")) for entry in accepted.items)
        order_ids = list(dict.fromkeys(order_id for order_id in ids if order_id))
        if len(order_ids) < len(receipt.missing):
            reason = f"Ollang answered with {len(order_ids)} order(s) for {len(receipt.missing)} language(s)"
            raise OllangOutcomeUnknownError(reason=reason, **request.fields())
        return dataclasses.replace(
            receipt, message=f"order(s) {', '.join(order_ids)}", order_ids=[*receipt.order_ids, *order_ids]
        )

    def resolve(self, client: OllangClient, receipt: CreationReceipt) -> CreationReceipt:
        """
        Find out which of the orders that Ollang answered is of which language; a later try may do it again.

        :raises OllangOutcomeUnknownError: one is of another project or not found, or a language has none.
        """
        orders = dict(receipt.orders)
        others: list[str] = []
        foreign: list[str] = []
        absent: list[str] = []
        for order_id in receipt.order_ids:
            if order_id in orders.values():
                continue
            order = self._get_new_order(client, order_id)
            if order is None:
                absent.append(order_id)
                continue
            language = receipt.language_of(order.get("targetLanguage"))
            about = f"{order_id} ({order.get('type')} in {order.get('targetLanguage')})"
            if not _is_of_project(order, receipt):
                foreign.append(about)
            elif language is None or language in orders or order.get("type") != receipt.order_type:
                others.append(about)
            else:
                orders[language] = order_id
        resolved = dataclasses.replace(receipt, orders=orders)
        if foreign or absent or resolved.missing:
            about_orders = {"not of this project": foreign, "not found with this key": absent, "not asked for": others}
            raise self._unexpected_orders(resolved, about_orders)
        if others:
            self._log.warning("Ollang created orders that were not asked for by name: %s.", ", ".join(others))
        return resolved

    def find_effect(
        self, client: OllangClient, receipt: CreationReceipt, *, max_attempts: int | None = None
    ) -> Effect[CreationReceipt]:
        """
        Look for orders that were created since the request.

        ===================================== ===============================================================
        languages without an order            the request
        ===================================== ===============================================================
        each has one new order now            was processed
        one has several                       was processed, and so was another one: a person decides
        one has an order dated before it      likewise: the clocks may differ, or a list may lag
        one has an order of another level     likewise: a review may have changed the level
        a new one is in no language asked for likewise: Ollang may spell a language otherwise. It may be another task's,
                                              too: only where Ollang has answered it, or its primary subtag is that of
                                              a missing language, it keeps a clear from submitting the rest
        some have one, others none            was processed in part: the rest may be sent
        none has any, and none had            shows no effect
        ===================================== ===============================================================

        A cancelled order never counts: so a person settles what is doubtful. One whose id Ollang has answered, or that
        this task had, counts whatever its date and level, also where no list shows it.
        """
        requested = parse_time(receipt.requested_at)
        since = requested and requested - DATE_RESOLUTION
        listed = self._list_new(client, receipt, requested and requested - LONGEST_SKEW, max_attempts)
        rows = [*listed, *self._get_unlisted(client, receipt, listed, max_attempts)]
        missing = [row for row in rows if _asked_language(row, receipt) in receipt.missing]
        certain = [
            row
            for row in missing
            if row["id"] in receipt.order_ids
            or (not _is_dated_before(row, since) and self._is_of_level(client, row["id"], max_attempts))
        ]
        new = _by_language(receipt, certain)
        doubtful = _by_language(receipt, (row for row in missing if row not in certain))
        others = _unasked(rows, receipt)
        found = {language: orders[0]["id"] for language, orders in new.items() if len(orders) == 1}
        updated = receipt.with_orders({**receipt.orders, **found})
        comparison = _compare(updated, new, doubtful, others)
        if not updated.missing:
            self._log.info("%s.", comparison)
            return Effect(dataclasses.replace(updated, message=f"order(s) {', '.join(updated.order_ids)}"))
        respelt = [row for row in others if receipt.message or updated.may_be_missing(row.get("targetLanguage"))]
        blocks_clear = bool(respelt) or any(new[language] or doubtful[language] for language in updated.missing)
        rest = updated if updated.orders and not blocks_clear else None
        is_likely = blocks_clear or bool(others)
        return Effect(None, comparison, is_likely=is_likely, rest=rest, blocks_clear=blocks_clear)

    def find_running(self, client: OllangClient, receipt: CreationReceipt) -> CreationReceipt | None:
        """Tell whether an order whose end was not waited for is at work still; one that gets 404 twice is gone."""
        order_ids = receipt.unfinished_ids
        for delay in (0.0, DENIAL_PAUSE):
            if order_ids:
                self._sleep(delay)
            denied = []
            for order_id in order_ids:
                try:
                    if _is_at_work(client.get_order(order_id)):
                        return receipt
                except OllangOrderNotFoundError as error:
                    self._log.warning("%s", error)
                    denied.append(order_id)
            order_ids = denied
        return None

    def explain(self) -> str:
        """Say what to check in Ollang."""
        return (
            f"Check project {self._spec.project_id} in Ollang. If all orders are there, mark this task as success and "
            "give their ids to the tasks downstream. If not, cancel the doubtful orders that no other task ordered: "
            f"new ones in another language than {', '.join(self._spec.languages)}, dated before the request or of "
            "another level, and all but one of several. Then clear this task: with its record (Airflow 3.3 or newer, "
            "task state kept) it takes the orders that are there and creates the missing ones; without it, it creates "
            "all of them unless all are at work."
        )

    # --- Orders of the project ------------------------------------------------------------------------------------

    @property
    def _filters(self) -> dict[str, str | None]:
        return {"filter[projectId]": self._spec.project_id, "filter[type]": self._spec.order_type}

    def _is_alike(self, row: Order) -> bool:
        """Tell whether a row is of an order of this project and type: a server may ignore the filters."""
        is_of_project = is_same_id(row.get("projectId"), self._spec.project_id)
        return is_of_project and row.get("type") == self._spec.order_type and parse_text(row.get("id")) is not None

    def _list_new(
        self, client: OllangClient, receipt: CreationReceipt, since: datetime | None, max_attempts: int | None
    ) -> list[Order]:
        """Return the orders of this project and type that were not known before the request, nor cancelled since."""
        created = None if since is None else since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        filters = {**self._filters, "filter[createdAtRange][from]": created}
        return [
            row
            for row in client.list_orders(filters, max_attempts=max_attempts)
            if self._is_alike(row)
            and not _is_dated_before(row, since)
            and row["id"] not in receipt.before
            and row.get("status") != "cancelled"
        ]

    def _get_unlisted(
        self, client: OllangClient, receipt: CreationReceipt, listed: list[Order], max_attempts: int | None
    ) -> list[Order]:
        """Return the orders with a known id, of no language yet, that are not listed."""
        known = {row["id"] for row in listed} | set(receipt.orders.values())
        orders = (
            self._get_answered(client, order_id, max_attempts)
            for order_id in receipt.order_ids
            if order_id not in known
        )
        return [order for order in orders if order is not None]

    def _is_of_level(self, client: OllangClient, order_id: str, max_attempts: int | None = None) -> bool:
        """Tell whether an order may have the level asked for, which no list shows."""
        if order_id in self._of_level:
            return True
        try:
            level = client.get_order(order_id, max_attempts=max_attempts).get("level")
        except OllangOrderNotFoundError:
            # It may just not show yet: what a list has is never ordered again for that.
            return True
        if level not in (None, self._spec.level):
            return False
        self._of_level.add(order_id)
        return True

    def _get_answered(self, client: OllangClient, order_id: str, max_attempts: int | None) -> Order | None:
        """Get an order of this type that was not listed; ``None`` if there is none, or it is cancelled."""
        try:
            order = client.get_order(order_id, max_attempts=max_attempts)
        except (OllangOrderNotFoundError, OllangAccessDeniedError):
            return None
        is_alike = order.get("type") == self._spec.order_type and order.get("status") != "cancelled"
        return {**order, "id": order_id} if is_alike else None

    def _get_new_order(self, client: OllangClient, order_id: str) -> Order | None:
        """Get an order that was just created, which may take a moment to show; ``None`` if it is not the account's."""
        for delay in reconcile_delays(POLL_FIRST_TIMEOUT):
            self._sleep(delay)
            try:
                return client.get_order(order_id)
            except (OllangOrderNotFoundError, OllangAccessDeniedError) as error:
                self._log.warning("%s", error)
        return None

    def _unexpected_orders(
        self, receipt: CreationReceipt, unexpected: Mapping[str, list[str]]
    ) -> OllangOutcomeUnknownError:
        texts = [f"no {receipt.order_type} in {', '.join(receipt.missing)}"] if receipt.missing else []
        texts += [f"{what}: {', '.join(orders)}" for what, orders in unexpected.items() if orders]
        return outcome_unknown(self, f"Ollang answered with other orders ({'; '.join(texts)})")


def _by_language(receipt: CreationReceipt, rows: Iterable[Order]) -> dict[str, list[Order]]:
    """Return the rows of each language asked for."""
    rows_of: dict[str, list[Order]] = {language: [] for language in receipt.languages}
    for row in rows:
        language = receipt.language_of(row.get("targetLanguage"))
        if language is not None:
            rows_of[language].append(row)
    return rows_of


def _is_of_project(order: Order, receipt: CreationReceipt) -> bool:
    """Tell whether an order that was got by its id is of the project; one that does not say so is."""
    return is_same_id(order.get("projectId") or receipt.project_id, receipt.project_id)


def _asked_language(order: Order, receipt: CreationReceipt) -> str | None:
    """Return the language asked for that an order is of; ``None`` for one of another project, too."""
    return receipt.language_of(order.get("targetLanguage")) if _is_of_project(order, receipt) else None


def _unasked(rows: Iterable[Order], receipt: CreationReceipt) -> list[Order]:
    """Return the new orders that may be of a missing language all the same."""
    unasked = [row for row in rows if _asked_language(row, receipt) is None]
    # Where Ollang has told the ids, the orders of others do not count.
    return [row for row in unasked if row["id"] in receipt.order_ids] if receipt.message else unasked


def _compare(
    receipt: CreationReceipt,
    new: Mapping[str, list[Order]],
    doubtful: Mapping[str, list[Order]],
    others: list[Order],
) -> str:
    """Say which languages have an order."""
    facts = [f"{language}: {receipt.orders[language]}" for language in receipt.languages if language in receipt.orders]
    for language in receipt.missing:
        if new[language]:
            seen = f"several new orders ({_ids(new[language])})"
        elif doubtful[language]:
            seen = f"dated before the request or of another level ({_ids(doubtful[language])})"
        else:
            seen = "no new order"
        facts.append(f"{language}: {seen}")
    if receipt.missing and others:
        listed = (f"{row['id']} ({row.get('targetLanguage')})" for row in others)
        facts.append(f"not asked for: {', '.join(listed)}")
    return f"orders of {receipt.order_type} by language: {'; '.join(facts)}"


def _ids(rows: Iterable[Order]) -> str:
    return ", ".join(str(row["id"]) for row in rows)


def _is_at_work(order: Order) -> bool:
    return order.get("status") not in DONE_STATUSES | FAILURE_STATUSES


def _is_dated_before(row: Order, time: datetime | None) -> bool:
    created = parse_time(row.get("createdAt"))
    return created is not None and time is not None and created < time
