"""The operator that delivers the files of an order to a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import Asset, ObjectStoragePath

from airflow_provider_ollang.domain.arguments import NOT_GIVEN, parse_names, require_choice, require_count
from airflow_provider_ollang.domain.receipts import Receipt, agreed_order_id, check_host
from airflow_provider_ollang.domain.values import parse_time
from airflow_provider_ollang.exceptions import OllangConfigurationError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators._base import OllangOperator
from airflow_provider_ollang.runtime.context import require_task_instance
from airflow_provider_ollang.runtime.stores import open_address, require_address
from airflow_provider_ollang.transfers._download import Delivery
from airflow_provider_ollang.transfers._file_host import FileHost
from airflow_provider_ollang.transfers._ledger import Ledger
from airflow_provider_ollang.transfers._manifest import lineage_of, to_manifest, to_xcom
from airflow_provider_ollang.transfers._names import safe_name
from airflow_provider_ollang.transfers._plan import KINDS, Criteria, plan
from airflow_provider_ollang.transfers._store import Store
from airflow_provider_ollang.transfers._transfer import SignedUrls, Workers, deliver

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk import Context

    from airflow_provider_ollang.client.settings import Settings
    from airflow_provider_ollang.transfers._plan import File

MAX_FILES_AT_ONCE = 4


class OllangToObjectStorageOperator(OllangOperator):
    """
    Delivers the files of an order to any store that Airflow's ``ObjectStoragePath`` reaches, and says what is where.

    A file appears under its final name whole, with the length that its host and the order tell, or not at all. Memory
    does not grow with the files. A download that breaks off goes on where it was, links that have expired are fetched
    anew, and a retry of the task (from Airflow 3.3 on) brings only what is not there yet. The API key goes to Ollang's
    API only, never to the hosts of the files.

    After a rerun, or a human review, give it the receipt, ``OllangToObjectStorageOperator(rerun=rerun.output, ...)``:
    then it delivers only outputs that are newer than those from before. Nothing tells the age of the file behind
    ``vttUrl``; it is delivered with the documents, once those are newer.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id``; optional with ``rerun`` (templated).
    :param destination: a URL such as ``"s3://my_aws_conn@bucket/prefix"``, an absolute path, or an
        ``ObjectStoragePath`` (templated). Files that are there under the same names are replaced.
    :param rerun: the receipt of :class:`~airflow_provider_ollang.operators.ollang.OllangRerunOperator` or
        :class:`~airflow_provider_ollang.operators.review.OllangHumanReviewOperator` whose result to
        deliver, or a list of receipts of one order, of which the newest counts and ``None``, of a task that was
        skipped, does not; anything else, ``None`` alone too, is an error (templated).
    :param on_unchanged: what to do if not every type of output is newer than before the rerun, or the order is not
        completed or delivered and outputs are wanted: ``"fail"``, or ``"deliver"`` what is there with a warning. What
        a human review has approved as it was, by its operator's wait, is delivered all the same.
    :param kinds: which documents to deliver: of ``"output"`` (default), ``"auxiliary"`` (invoice, waveform, …) and
        ``"source"`` (what was uploaded), as a collection or a comma-separated text.
    :param document_types: only documents of these types, such as ``"subtitle"``; ``"vtt"`` is the file behind
        ``vttUrl``. Default: all of those kinds (templated).
    :param folder_per_order: deliver into a folder of the destination that is named by the order id; default ``True``,
        since documents of several orders often have the same names.
    :param on_size_mismatch: what to do with a whole file that has another size than the order says, even after a fresh
        look: ``"fail"``, or ``"deliver"`` it with a warning.
    :param max_files_at_once: how many files are brought at the same time; default 4.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: the manifest: ``{"order_id", "destination", "outputs_changed", "bytes", "file_count", "files",
        "manifest"}``, without links; ``files`` lists ``{"document_id", "name", "type", "path", "bytes", "sha256",
        "is_new"}``. ``path`` is what ``ObjectStoragePath`` takes. The file behind ``vttUrl`` has the type ``"vtt"`` and
        no ``document_id`` and ``name``. ``outputs_changed`` and ``is_new`` are ``None`` where there is no receipt, or
        nothing to tell it by. A manifest beyond 48 kB is a file beside the delivery: then ``files`` is ``None``, and
        ``manifest`` is ``{"path", "bytes", "sha256"}`` of that file, else ``None``. The events of assets in ``outlets``
        get the first four in their ``extra``, and the number of files.
    :raises OllangStaleResultError: not every type of output is newer than before the rerun.
    :raises OllangOrderFailedError: the order failed or was cancelled.
    :raises OllangUnavailableError: the order is not finished, there is nothing to deliver yet, or a file could not be
        had; retried.
    :raises OllangTransientError: the store failed for a reason that may pass; retried.
    :raises OllangConfigurationError: an argument is wrong, or the store cannot be written to.
    :raises OllangPermanentError: a file is not what the order says, or its link leads to where nothing is fetched from.
    :raises OllangError: as :meth:`.OllangHook.get_order`.
    """

    template_fields: Sequence[str] = ("order_id", "rerun", "destination", "document_types", "ollang_conn_id")
    ui_color = "#dff0e3"

    def __init__(
        self,
        *,
        order_id: Any = None,
        destination: str | ObjectStoragePath,
        rerun: Any = NOT_GIVEN,
        on_unchanged: Literal["fail", "deliver"] = "fail",
        kinds: Iterable[str] | str = ("output",),
        document_types: Iterable[str] | str | None = None,
        folder_per_order: bool = True,
        on_size_mismatch: Literal["fail", "deliver"] = "fail",
        max_files_at_once: int = MAX_FILES_AT_ONCE,
        ollang_conn_id: str = OllangHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.order_id = order_id
        self.destination = destination
        self.rerun_given = rerun is not NOT_GIVEN
        self.rerun = rerun if self.rerun_given else None
        self.on_unchanged = require_choice("on_unchanged", on_unchanged, ("fail", "deliver"))
        self.kinds = [require_choice("kinds", kind, KINDS) for kind in parse_names("kinds", kinds)]
        self.document_types = document_types
        self.folder_per_order = folder_per_order
        self.on_size_mismatch = require_choice("on_size_mismatch", on_size_mismatch, ("fail", "deliver"))
        self.max_files_at_once = require_count("max_files_at_once", max_files_at_once)
        self.ollang_conn_id = ollang_conn_id
        self._lineage: tuple[str, str, ObjectStoragePath] | None = None
        if order_id is None and not self.rerun_given:
            raise OllangConfigurationError("OllangToObjectStorageOperator needs an order_id or a rerun.")

    def execute(self, context: Context) -> dict[str, Any]:
        """Deliver the files."""
        require_task_instance(context)
        receipt = self._receipt()
        order_id = agreed_order_id(self.order_id, receipt)
        require_address("destination", self.destination)
        hook, token = self._connect(order_id)
        settings = hook.settings
        check_host(settings, receipt)
        criteria = self._criteria(order_id, receipt)
        planned = plan(hook.get_order(order_id), criteria)
        for warning in planned.warnings:
            self.log.warning("%s", settings.redact(warning))
        host = FileHost(settings, self.max_files_at_once)
        with closing(hook), closing(host), Workers(self.max_files_at_once, token) as workers:
            store = workers.run(self._open_store, order_id, settings, planned.files)
            self.log.info("Order %s: delivering %d file(s) to %s.", order_id, len(planned.files), store.address)
            # What an earlier rerun has made counts as another file, even if nothing tells the two apart.
            subject = {
                "order_id": order_id,
                "host": settings.base_url,
                "destination": store.address,
                "requested_at": receipt.requested_at if receipt else None,
            }
            delivery = Delivery(
                order_id=order_id,
                settings=settings,
                host=host,
                urls=SignedUrls(planned.files, criteria, lambda: hook.get_order(order_id)),
                store=store,
                token=token,
                log=self.log,
                size_must_agree=self.on_size_mismatch == "fail",
            )
            ledger = Ledger(planned.files, context, subject=subject, log=self.log)
            delivered = deliver(planned.files, delivery, ledger, workers)
            result = workers.run(to_xcom, to_manifest(order_id, store, planned, delivered), store)
        self._lineage = (settings.base_url, order_id, store.folder)
        for asset in self.outlets:
            if isinstance(asset, Asset):
                context["outlet_events"][asset].extra = {
                    **{key: result[key] for key in ("order_id", "destination", "outputs_changed", "bytes")},
                    "files": result["file_count"],
                }
        return result

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - as OpenLineage calls it
        """Name the order as input and its folder as output, for OpenLineage."""
        return None if self._lineage is None else lineage_of(*self._lineage)

    def _criteria(self, order_id: str, receipt: Receipt | None) -> Criteria:
        return Criteria(
            order_id=order_id,
            kinds=self.kinds,
            types=None if self.document_types is None else parse_names("document_types", self.document_types),
            rerun=receipt.rerun if receipt else None,
            accept_unchanged=self.on_unchanged == "deliver",
            is_approved=receipt.is_approved_unchanged if receipt else False,
        )

    def _receipt(self) -> Receipt | None:
        if not self.rerun_given:
            return None
        given: Any = self.rerun
        if isinstance(given, Mapping | str) or not isinstance(given, Sequence):
            return Receipt.from_value(given)
        # A rerun that was skipped has left none.
        receipts = [Receipt.from_value(one) for one in given if one is not None]
        if len({(one.order_id, one.host) for one in receipts}) > 1:
            raise OllangConfigurationError(
                f"rerun has receipts of several orders ({', '.join(sorted({one.order_id for one in receipts})[:5])}); "
                "give those of one, or map this task over them."
            )
        oldest = datetime.min.replace(tzinfo=UTC)
        newest = max(receipts, key=lambda one: parse_time(one.requested_at) or oldest, default=None)
        return newest or Receipt.from_value(None)

    def _open_store(self, order_id: str, settings: Settings, files: Sequence[File]) -> Store:
        """Connect to the store, which not all do without talking to it, and prepare the folder."""
        folder = open_address("destination", self.destination)
        folder = folder / safe_name(order_id) if self.folder_per_order else folder
        store = Store(folder, redact=settings.redact, log=self.log)
        store.prepare([file.file_name for file in files])
        return store
