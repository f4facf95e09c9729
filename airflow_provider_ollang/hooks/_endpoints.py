"""The hook's methods, one for each endpoint of Ollang's API."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.client.requests import (
    MAX_PAGE_SIZE,
    Request,
    create_order,
    evaluate_order,
    get_review_info,
    rerun_order,
    review_order,
)
from airflow_provider_ollang.client.sync import InterruptedBeforeSending
from airflow_provider_ollang.client.uploads import project_id_of, upload_file, upload_link
from airflow_provider_ollang.domain.arguments import parse_count
from airflow_provider_ollang.domain.creation import OrderSpec
from airflow_provider_ollang.domain.uploads import UploadDetails
from airflow_provider_ollang.domain.values import parse_number, parse_text
from airflow_provider_ollang.runtime.source_file import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow.sdk import ObjectStoragePath

    from airflow_provider_ollang.client.responses import Accepted
    from airflow_provider_ollang.client.sync import OllangClient

_log = logging.getLogger(__name__)


class Endpoints:
    """What :class:`.OllangHook` can ask of Ollang."""

    @property
    def client(self) -> OllangClient:
        """What sends the requests."""
        raise NotImplementedError

    def get_order(self, order_id: object, *, max_attempts: int | None = None) -> dict[str, Any]:
        """
        Get an order with all its details (`Get Order by ID`).

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :param max_attempts: how often to send the request at most; ``None`` means as the connection says.
        :return: the order as the API gave it. Links in it are signed and expire.
        :raises OllangOrderNotFoundError: no order has this id.
        :raises OllangAccessDeniedError: it belongs to another account.
        :raises OllangAuthenticationError: the key is not valid.
        :raises OllangUnavailableError: no usable response after all attempts.
        :raises OllangRateLimitError: still rate limited after all attempts.
        :raises OllangConfigurationError: the connection or the id is wrong.
        """
        return self.client.get_order(order_id, max_attempts=max_attempts)

    def rerun_order(self, order_id: object) -> dict[str, Any]:
        """
        Submit a rerun (`Rerun Order`), once. A ``@task`` that calls this is not protected: its retry submits another.

        This method knows nothing of earlier tries, so call it with ``retries=0`` only. :class:`.OllangRerunOperator`
        submits at most one rerun, whatever is retried or killed, and its receipt is what
        ``OllangOrderStatusSensor(rerun=...)`` and the other operators take; what this method returns is no receipt.
        The new result replaces the current one.

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :return: ``{"order_id": str, "message": str | None, "requested_at": str | None}``; ``requested_at`` is a
            time by the server's clock just before the request arrived, ISO 8601.
        :raises OllangOrderNotEligibleError: the order is not completed or delivered.
        :raises OllangRequestRefusedError: the API answered ``success: false``.
        :raises OllangRateLimitError: the server limits requests. Nothing was started, and it is not sent again.
        :raises OllangOutcomeUnknownError: it may or may not have been accepted.
        :raises OllangError: as :meth:`get_order`; the rerun surely was not accepted.
        """
        request = rerun_order(order_id)
        return _to_dict(request, self._submit(request))

    def evaluate_order(
        self, order_id: object, *, criteria: Iterable[str] | str | None = None, custom_prompt: str | None = None
    ) -> dict[str, Any]:
        """
        Submit an evaluation (`QC Evaluation`), once. A ``@task`` that calls this is not protected: a retry pays again.

        This method knows nothing of earlier tries, so call it with ``retries=0`` only.
        :class:`.OllangEvaluateOrderOperator` submits at most one evaluation, whatever is retried or killed, and its
        receipt is what ``OllangQualityGateOperator(evaluation=...)`` takes; what this method returns is no receipt.
        The scores come later, as the order's ``latestEvaluation``.

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :param criteria: what to judge, of ``Accuracy``, ``Fluency``, ``Tone`` and ``Cultural Fit``, as a collection or
            a comma-separated text; default all.
        :param custom_prompt: what else the evaluation should consider, as free text.
        :return: ``{"order_id": str, "message": str | None, "requested_at": str | None, "evaluation_id": str | None,
            "credits_used": float | None}``.
        :raises OllangConfigurationError: also for a criterion that there is not, and for a prompt that is no text.
        :raises OllangError: as :meth:`rerun_order`.
        """
        request = evaluate_order(order_id, criteria, custom_prompt)
        accepted = self._submit(request)
        return {
            **_to_dict(request, accepted),
            "evaluation_id": parse_text(accepted.value.get("evalId")),
            "credits_used": parse_number(accepted.value.get("creditsUsed")),
        }

    def create_order(
        self,
        project_id: object,
        order_type: str,
        target_languages: Iterable[str] | str,
        *,
        level: int = 0,
        rush: bool = False,
        order_sub_type: str | None = None,
        dubbing_style: str | None = None,
        callback_url: str | None = None,
        auto_qc: bool = False,
        memories: Iterable[str] | str | None = None,
    ) -> dict[str, Any]:
        """
        Create orders (`Create Order`), once. A ``@task`` that calls this is not protected: its retry creates others.

        This method knows nothing of earlier tries, so call it with ``retries=0`` only.
        :class:`.OllangCreateOrderOperator` submits at most one request, whatever is retried or killed, and says which
        order is of which language.

        :param project_id: the project's id, or a mapping with ``project_id`` or ``id``.
        :param order_type: as in :class:`.OllangCreateOrderOperator`, and so are the other parameters.
        :return: ``{"order_ids": list[str], "entries": list[dict], "requested_at": str | None}``; ``entries`` is the
            response as it is. There may be more orders than languages, since some types of orders make others first.
        :raises OllangNotFoundError: no project has this id.
        :raises OllangConfigurationError: also for an argument that Ollang does not take; nothing was sent.
        :raises OllangError: as :meth:`rerun_order`.
        """
        spec = OrderSpec.parse(
            project_id,
            order_type,
            target_languages,
            level=level,
            rush=rush,
            order_sub_type=order_sub_type,
            dubbing_style=dubbing_style,
            callback_url=callback_url,
            auto_qc=auto_qc,
            memories=memories,
        )
        accepted = self._submit(create_order(spec))
        order_ids = [order_id for entry in accepted.items if (order_id := parse_text(entry.get("orderId")))]
        return {"order_ids": order_ids, "entries": accepted.items, "requested_at": accepted.requested_at}

    def list_orders(
        self,
        *,
        order_type: str | None = None,
        status: str | None = None,
        name: str | None = None,
        project_id: str | None = None,
        created_from: str | None = None,
        created_to: str | None = None,
        search: str | None = None,
        page_size: int = MAX_PAGE_SIZE,
    ) -> Iterator[dict[str, Any]]:
        """
        List the account's orders, newest id first, fetching page by page as the caller goes on (`List Orders`).

        :param order_type: only orders of this type, such as ``"subtitle"``.
        :param status: only orders in this status.
        :param name: only orders of exactly this name, case included. Ollang's pages disagree on whether its own filter
            takes a part of a name, so rows are compared here again; for a part of a name use ``search``.
        :param project_id: only orders of this project.
        :param created_from: only orders created at or after this time, ISO 8601.
        :param created_to: only orders created at or before this time, ISO 8601.
        :param search: free text; what Ollang finds by it is returned as it is.
        :param page_size: rows a request, 1 to 50, as number or text.
        :return: an iterator over short rows: ``id, name, sourceLanguage, targetLanguage, status, type, createdAt,
            clientId, projectId``; each order once.
        :raises OllangConfigurationError: ``page_size`` is no such number.
        :raises OllangError: as :meth:`get_order`, when a page is fetched; a filter that is no text is refused then.
        """
        filters = {
            "filter[type]": order_type,
            "filter[status]": status,
            "filter[name]": name,
            "filter[projectId]": project_id,
            "filter[createdAtRange][from]": created_from,
            "filter[createdAtRange][to]": created_to,
            "pageOptions[search]": search,
        }
        return self._list_orders(filters, parse_count("page_size", page_size, 1, MAX_PAGE_SIZE))

    def request_human_review(self, order_id: object) -> dict[str, Any]:
        """
        Request a human review (`Human Review`), once. A ``@task`` that calls this is not protected: a retry pays again.

        This method knows nothing of earlier tries, so call it with ``retries=0`` only.
        :class:`.OllangHumanReviewOperator` requests at most one review, whatever is retried or killed.

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :return: ``{"order_id": str, "message": str | None, "requested_at": str | None}``, as :meth:`rerun_order`.
        :raises OllangError: as :meth:`rerun_order`.
        """
        request = review_order(order_id)
        return _to_dict(request, self._submit(request))

    def cancel_human_review(self, order_id: object) -> dict[str, Any]:
        """
        Cancel the human review of an order (`Cancel Human Review`): Ollang refunds it.

        The order is ``completed`` at level 0 then, with the result that it had. Costs nothing and may be repeated: a
        second request is refused and changes nothing.

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :return: the response, ``{"success": bool, "message": str, "orderId": str}``.
        :raises OllangBadRequestError, OllangOrderNotEligibleError: there is no review to cancel, or it is too late.
        :raises OllangError: as :meth:`get_order`.
        """
        return self.client.cancel_review(order_id)

    def get_review_info(self, order_id: object, *, max_attempts: int | None = None) -> dict[str, Any]:
        """
        Tell what an order in ``review`` is paused for; only the vendor's SDKs document this endpoint.

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :param max_attempts: as for :meth:`get_order`.
        :return: ``{"inReview": bool, "tag": str, "reviewType": str, "enteredReviewAt": str, "reviewers": list[str]}``,
            of which all but the first may be missing.
        :raises OllangError: as :meth:`get_order`.
        """
        return self.client.get(get_review_info(order_id), max_attempts=max_attempts)

    def cancel_order(self, order_id: object) -> bool:
        """
        Cancel an order for good (`Cancel Order`). Costs nothing, and repeating it is harmless.

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :return: ``True`` if this request cancelled it, ``False`` if it was cancelled before.
        :raises OllangBadRequestError, OllangOrderNotEligibleError: it is too late: only orders that have hardly begun
            can be cancelled.
        :raises OllangError: as :meth:`get_order`.
        """
        return self.client.cancel_order(order_id)

    def get_project(self, project_id: object) -> dict[str, Any]:
        """
        Get a project with its documents (`Get Project by ID`).

        :param project_id: its id, or a mapping with ``project_id`` or ``id``.
        :return: the project as the API gave it, ``{"id", "name", "sourceLanguage", "createdAt", "folderId",
            "projectDocs", …}``. Links in it are signed and expire.
        :raises OllangNotFoundError: no project has this id.
        :raises OllangError: as :meth:`get_order`.
        """
        return self.client.get_project(project_id)

    def list_projects(self, *, search: str | None = None, page_size: int = MAX_PAGE_SIZE) -> Iterator[dict[str, Any]]:
        """
        List the account's projects, the newest first, fetching page by page as the caller goes on (`List Projects`).

        :param search: free text; what Ollang finds by it is returned as it is.
        :param page_size: rows a request, 1 to 50, as number or text.
        :return: an iterator over rows; each project once.
        :raises OllangConfigurationError: ``page_size`` is no such number.
        :raises OllangError: as :meth:`get_order`, when a page is fetched.
        """
        size = parse_count("page_size", page_size, 1, MAX_PAGE_SIZE)
        return self._list_projects({"search": search}, size)

    def list_folders(self, *, search: str | None = None, page_size: int = MAX_PAGE_SIZE) -> Iterator[dict[str, Any]]:
        """
        List the account's folders (``GET /integration/folder``), fetching page by page as the caller goes on.

        Their ids are what ``folder_id`` of an upload takes. The parameters and errors are those of
        :meth:`list_projects`.

        :return: an iterator over rows, ``id, name, hexColor, type, createdAt, projectCount``; each folder once.
        """
        size = parse_count("page_size", page_size, 1, MAX_PAGE_SIZE)
        return self._list_folders({"search": search}, size)

    def upload_file(
        self,
        path: ObjectStoragePath | str,
        name: str,
        source_language: str,
        *,
        folder_id: str | None = None,
        notes: str | list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """
        Upload a file (`Direct Upload`), once. A ``@task`` that calls this is not protected: a retry uploads it again.

        This method knows nothing of earlier tries, so call it with ``retries=0`` only.
        :class:`.ObjectStorageToOllangOperator` makes at most one project, whatever is retried or killed. The file is
        read while it is sent, in constant memory.

        :param path: a URL such as ``"s3://my_aws_conn@bucket/episode.mp4"``, an absolute path, or an
            ``ObjectStoragePath``. Ollang tells the format by the extension.
        :param name: what the project is to be called.
        :param source_language: code of the file's language, as Ollang spells it: ``"en"``, ``"pt-PT"``.
        :param folder_id: the folder of the project; default: Ollang's own for uploads.
        :param notes: for those who work on it: a text, or a list of ``{"details": str, "timeStamp": str}``, of which
            the last may be missing.
        :return: ``{"project_id": str, "requested_at": str | None, "bytes": int, "sha256": str}``.
        :raises OllangConfigurationError: there is no such file, or Ollang does not take it; nothing was sent.
        :raises OllangTransientError: the file cannot be read, or has changed while it was sent; there is no project.
        :raises OllangBadRequestError: Ollang refused it; for one that is too large, with 413.
        :raises OllangError: as :meth:`rerun_order`.
        """
        source = SourceFile("path", path, redact=self.client.settings.redact, log=_log)
        details = UploadDetails(name, source_language, folder_id, notes)
        request = upload_file(source.open, source.size, source.name, details)
        return {**self._submit_upload(request), "bytes": source.size, "sha256": source.sha256}

    def upload_link(self, url: str, name: str, source_language: str, *, folder_id: str | None = None) -> dict[str, Any]:
        """
        Let Ollang fetch a file by a link, once. A ``@task`` that calls this is not protected, as :meth:`upload_file`.

        Only the vendor's SDKs document this endpoint. Nothing shows the link; it must stay good until Ollang has the
        file, and no response tells when that is.

        :param url: an http or https link that Ollang can reach, such as a presigned one.
        :param name: what the project is to be called; the extension of the link's file is added if it has none.
        :param source_language: as for :meth:`upload_file`.
        :param folder_id: as for :meth:`upload_file`.
        :return: ``{"project_id": str, "requested_at": str | None}``.
        :raises OllangConfigurationError: it is no link, or Ollang does not take such a file; nothing was sent.
        :raises OllangError: as :meth:`rerun_order`.
        """
        return self._submit_upload(upload_link(url, UploadDetails(name, source_language, folder_id)))

    def get_credits(self) -> dict[str, Any]:
        """
        Get the account's credits (`Credits`).

        :return: ``{"totalCredits", "remainingCredits", "usedCredits", "currency", "creditsPerUsd", …}``.
        :raises OllangAccessDeniedError: the key's user may not see billing.
        :raises OllangError: as :meth:`get_order`.
        """
        return self.client.get_credits()

    def _list_orders(self, filters: dict[str, str | None], page_size: int) -> Iterator[dict[str, Any]]:
        # The connection is read when the first row is asked for.
        yield from self.client.list_orders(filters, page_size=page_size)

    def _submit(self, request: Request) -> Accepted:
        try:
            return self.client.submit(request)
        except InterruptedBeforeSending as marker:
            # That nothing was sent matters to those only who keep a record of it.
            raise (marker.__cause__ or marker) from None

    def _submit_upload(self, request: Request) -> dict[str, Any]:
        accepted = self._submit(request)
        return {"project_id": project_id_of(request, accepted), "requested_at": accepted.requested_at}

    def _list_folders(self, filters: dict[str, str | None], page_size: int) -> Iterator[dict[str, Any]]:
        yield from self.client.list_folders(filters, page_size=page_size)

    def _list_projects(self, filters: dict[str, str | None], page_size: int) -> Iterator[dict[str, Any]]:
        yield from self.client.list_projects(filters, page_size=page_size)


def _to_dict(request: Request, accepted: Accepted) -> dict[str, Any]:
    return {"order_id": request.order_id, "message": accepted.message, "requested_at": accepted.requested_at}
