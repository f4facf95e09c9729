"""
The errors this provider raises, sorted by what Airflow should do with the task.

::

    OllangError                        (AirflowException)
    ├── OllangTransientError           the task's retries decide
    │   ├── OllangRateLimitError
    │   └── OllangUnavailableError
    ├── OllangPermanentError           (AirflowFailException) the task fails at once, in every mode of a sensor
    │   ├── OllangConfigurationError
    │   ├── OllangAuthenticationError, OllangAccessDeniedError, OllangOrderNotFoundError, OllangBadRequestError
    │   ├── OllangOrderNotEligibleError, OllangRequestRefusedError, OllangOutcomeUnknownError
    │   └── OllangOrderFailedError, OllangStaleResultError, OllangQualityError
    └── OllangTimeoutError             (AirflowSensorTimeout) never retried
"""

from __future__ import annotations

from typing import Any

from airflow_provider_ollang._compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
)


class OllangError(AirflowException):
    """
    Base of every error of this provider: one ``except`` clause catches them all.

    :param message: what happened, to which order, and what to do next.
    :param status_code: HTTP status of the response; ``None`` where there was none.
    :param code: the API's own error code, such as ``"ORDER_NOT_FOUND"``.
    :param order_id: the order concerned.
    :param method: HTTP method of the request.
    :param path: path of the request, without host and query.
    :param detail: the server's own message, at most 500 characters, without keys and URL queries.
    """

    # Airflow declares a status_code of 500 on the class; "no response" must not read as "server error".
    status_code: int | None  # type: ignore[assignment]

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int | None = None,
        code: str | None = None,
        order_id: str | None = None,
        method: str | None = None,
        path: str | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code
        self.order_id = order_id
        self.method = method
        self.path = path
        self.detail = detail

    def reworded(self, message: str, error_class: type[OllangError] | None = None) -> OllangError:
        """
        Return this error with another message.

        :param message: the message.
        :param error_class: the class of the error that is returned; ``None``: this one's.
        """
        error = (error_class or type(self))(message)
        vars(error).update(vars(self))
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by message and state: the default would lose every keyword argument."""
        return type(self), (str(self),), self.__dict__


class OllangTransientError(OllangError):
    """
    Worth another try of the task: the next one may succeed.

    :param message: as for :class:`OllangError`, and so are the other keyword arguments.
    :param retry_after: seconds the server asked to wait, from the moment of its response; ``None`` if it did
        not say.
    """

    def __init__(self, message: str = "", *, retry_after: float | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.retry_after = retry_after


class OllangRateLimitError(OllangTransientError):
    """429: too many requests. Nothing was started."""


class OllangUnavailableError(OllangTransientError):
    """Network trouble, a 5xx, or a response that is not what the API documents."""


class OllangPermanentError(OllangError, AirflowFailException):
    """The same request would fail again: the task fails without a retry."""


class OllangConfigurationError(OllangPermanentError):
    """The connection or an argument is wrong; nothing was sent, or the base URL is not Ollang's API."""


class OllangAuthenticationError(OllangPermanentError):
    """401: the API key is missing, wrong or revoked."""


class OllangAccessDeniedError(OllangPermanentError):
    """403: the order belongs to another account, or the key may not do this."""


class OllangNotFoundError(OllangPermanentError):
    """404: there is no such order or project."""


class OllangOrderNotFoundError(OllangNotFoundError):
    """404: no order has this id."""


class OllangInsufficientCreditsError(OllangPermanentError):
    """The account has fewer credits left than ``min_credits``; nothing was sent."""


class OllangBadRequestError(OllangPermanentError):
    """Any other 4xx, with the server's message."""


class OllangOrderNotEligibleError(OllangPermanentError):
    """The order is in no state for the request, for example not yet done; nothing was started."""


class OllangRequestRefusedError(OllangPermanentError):
    """The API answered with ``success: false``; nothing was started."""


class OllangOrderFailedError(OllangPermanentError):
    """The order reached a failure status."""


class OllangOutcomeUnknownError(OllangPermanentError):
    """
    A paid request may or may not have been processed: it must not be sent again blindly.

    :param message: as for :class:`OllangError`, and so are the other keyword arguments.
    :param reason: why it is unknown.
    """

    def __init__(self, message: str = "", *, reason: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.reason = reason


class OllangStaleResultError(OllangPermanentError):
    """
    The order says it is done, but nothing shows that this is the result of the rerun.

    :param message: as for :class:`OllangError`, and so are the other keyword arguments.
    :param result: the facts of the order as it is, for a person who finds that they are the rerun's; ``None`` without
        a wait.
    """

    def __init__(self, message: str = "", *, result: dict[str, Any] | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.result = result


class OllangQualityError(OllangPermanentError):
    """An order's scores are not good enough, or it has no evaluation that counts."""


class OllangTimeoutError(OllangError, AirflowSensorTimeout):
    """The wait reached its ``timeout``; never retried, as with any Airflow sensor."""


def error_to_json(error: OllangError) -> dict[str, Any]:
    """Return an error as a plain dict, for the event of a trigger."""
    return {"class": type(error).__name__, "message": str(error), "fields": dict(vars(error))}


def error_from_json(value: dict[str, Any]) -> OllangError:
    """Return the error that :func:`error_to_json` took apart; one of an unknown class as a transient one."""
    named = globals().get(value["class"])
    error_class = named if isinstance(named, type) and issubclass(named, OllangError) else OllangUnavailableError
    error = error_class(value["message"])
    vars(error).update(value["fields"])
    return error
