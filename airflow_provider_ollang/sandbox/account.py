"""The key's account in the imitated service: its uploads, projects, folders, new orders and credits."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.sandbox import lists, new_orders, prices, projects, responses, uploads
from airflow_provider_ollang.sandbox.clock import Clock, to_milliseconds
from airflow_provider_ollang.sandbox.options import Behaviour, parse_behaviour
from airflow_provider_ollang.sandbox.order import COUNTS, OWN, Json, Order
from airflow_provider_ollang.sandbox.responses import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_ollang.sandbox.new_orders import Creation
    from airflow_provider_ollang.sandbox.projects import Project
    from airflow_provider_ollang.sandbox.uploads import Upload

_COUNTS = ("uploads_accepted", "uploads_refused", "creations_accepted", "creations_refused", "orders_created")


class Account:
    """What is not about one order; `Service` adds that."""

    def __init__(self, speed: float, behaviour: Behaviour | Mapping[str, Any] | None) -> None:
        self.lock = threading.RLock()
        self.behaviour = parse_behaviour(behaviour, Behaviour())
        self._begin(speed)

    def _begin(self, speed: float) -> None:
        self.clock = Clock(speed)
        now = self.clock.now()
        self._numbers = itertools.count(1)
        self._counts = Counter(dict.fromkeys(_COUNTS, 0))
        self._orders: dict[str, Order] = {}
        self._creations: list[Creation] = []
        self._projects = {project.id: project for project in projects.start_projects(self.behaviour, now)}
        self._folders = projects.start_folders(now)

    # The API

    def upload(self, upload: Upload) -> Response:
        """Respond to an upload, of a file or of a link to one."""
        with self.lock:
            problem = uploads.problem_of(upload, self._folders, self.behaviour)
            if problem is not None:
                self._counts["uploads_refused"] += 1
                return problem.response(self.behaviour)
            ids = [self._new_id() for _ in range(2 if self.behaviour.processed_twice else 1)]
            for project_id in ids:
                made = projects.from_upload(project_id, upload, self.behaviour, self.clock.now())
                self._projects[project_id] = made
                self._counts["uploads_accepted"] += 1
            return Response(201, {"projectId": ids[0]})

    def get_project(self, project_id: str) -> Response:
        """Respond to a request for a project."""
        with self.lock:
            project = self._projects.get(project_id)
            if project is None and not projects.is_well_formed(project_id):
                return responses.bad_request("Bad Request", "Invalid project ID format").response(self.behaviour)
            if project is None:
                return responses.NO_PROJECT.response(self.behaviour)
            if project.owner != OWN:
                return responses.NO_PROJECT_ACCESS.response(self.behaviour)
            return Response(200, self._project_body(project))

    def list_projects(self, query: str) -> Response:
        """Respond to the list of projects: those of the key's account."""
        with self.lock:
            newest = self.clock.now() - to_milliseconds(self.behaviour.projects_hidden_for)
            rows = [
                self._project_body(project, is_row=True)
                for project in self._projects.values()
                if project.owner == OWN and project.created <= newest
            ]
            return self._page(lambda: lists.flat_page(rows, query, projects.ORDERED_BY))

    def list_folders(self, query: str) -> Response:
        """Respond to the list of folders."""
        with self.lock:
            rows = projects.folder_rows(self._folders.values(), self._projects.values())
            return self._page(lambda: lists.flat_page(rows, query, projects.FOLDERS_ORDERED_BY))

    def create_orders(self, body: Mapping[str, Any]) -> Response:
        """Respond to a request for new orders."""
        with self.lock:
            refusal = self._refusal_of_creation(body)
            if refusal is not None:
                self._counts["creations_refused"] += 1
                return refusal.response(self.behaviour)
            project = self._projects[body["projectId"]]
            made = [
                new_orders.create(body, project, self.behaviour, self.clock.now(), self._new_id)
                for _ in range(2 if self.behaviour.processed_twice else 1)
            ]
            for creation in made:
                self._creations.append(creation)
                self._orders |= {order.id: order for order in creation.orders}
                self._counts["creations_accepted"] += 1
                self._counts["orders_created"] += len(creation.orders)
            return Response(201, list(made[0].answer))

    def _refusal_of_creation(self, body: Mapping[str, Any]) -> responses.ApiError | None:
        problem = new_orders.body_problem(body)
        if problem is not None:
            return responses.bad_request("Bad Request", problem)
        project = self._projects.get(body["projectId"])
        if project is None or project.owner != OWN:
            return responses.NO_PROJECT
        status = self.behaviour.create_no_credits
        return None if status is None else responses.no_credits(status, "create")

    def credits(self) -> Response:
        """Respond to a request for the account's credits."""
        with self.lock:
            if not self.behaviour.billing_role:
                return responses.NO_BILLING.response(self.behaviour)
            used = sum(order.credits_used for order in self._orders.values() if order.owner == OWN)
            return Response(200, prices.wallet(used, self.behaviour))

    def _page(self, page: Callable[[], Json]) -> Response:
        try:
            return Response(200, page())
        except lists.QueryError as error:
            return responses.bad_request("Invalid query parameters", str(error)).response(self.behaviour)

    def _project_body(self, project: Project, *, is_row: bool = False) -> Json:
        count = sum(order.latest.get("projectId") == project.id for order in self._orders.values())
        body = responses.project_body({**project.body, "ordersCount": count}, self.behaviour)
        if is_row and not self.behaviour.project_rows_with_docs:
            body.pop("projectDocs", None)
        return body

    def _new_id(self) -> str:
        """Return an id as MongoDB makes them: of two, the later one sorts behind."""
        return f"{self.clock.now() // 1000:08x}{next(self._numbers):016x}"

    # The admin API and Python

    def projects(self) -> list[Json]:
        """Return each project, oldest first: what was uploaded (`bytes`, `sha256`), what was `asked`, its `creations`.

        These are the accepted requests for orders of it: when, what was `asked`, and the ids of the `orders` made.
        """
        with self.lock:
            reports = {project.id: {**project.report(), "creations": []} for project in self._projects.values()}
            for creation in self._creations:
                reports[creation.asked["projectId"]]["creations"].append(creation.report())
            return list(reports.values())

    def counts(self) -> dict[str, int]:
        """Return how many requests of each kind were accepted and refused, over all orders and projects."""
        with self.lock:
            of_orders = {name: sum(getattr(order, name) for order in self._orders.values()) for name in COUNTS}
            return {**self._counts, **of_orders}

    def change_behaviour(self, behaviour: Behaviour | Mapping[str, Any]) -> None:
        """Change options of the whole sandbox, at once; orders that exist keep their own.

        :param behaviour: a `Behaviour`, or options by name on top of the sandbox's own.
        :raises SandboxError: for an unknown option.
        """
        with self.lock:
            self.behaviour = parse_behaviour(behaviour, self.behaviour)
