"""The stores behind Airflow's ``ObjectStoragePath``: their addresses, and what their libraries' errors mean."""

from __future__ import annotations

import asyncio
import errno
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_ollang._compat import AirflowNotFoundException
from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangError, OllangTransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What a store is asked for, or sent, at a time.
BLOCK = 8 << 20
#: Here an object does not exist before its upload is complete.
OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "adl", "abfs", "abfss", "wasb", "wasbs"})
#: Stores of buckets, which have no folders and are read and written in blocks.
BUCKETS = OBJECT_STORES | {"oss", "cos", "obs", "oci", "r2"}
_PROVIDERS = {
    "s3": "apache-airflow-providers-amazon[s3fs]",
    "s3a": "apache-airflow-providers-amazon[s3fs]",
    "gs": "apache-airflow-providers-google",
    "gcs": "apache-airflow-providers-google",
    "abfs": "apache-airflow-providers-microsoft-azure",
    "abfss": "apache-airflow-providers-microsoft-azure",
    "adl": "apache-airflow-providers-microsoft-azure",
}
#: Failures that the next try would meet again.
_LASTING = (PermissionError, FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError)
_LASTING_NUMBERS = frozenset({errno.EROFS, errno.ENAMETOOLONG, errno.EINVAL, errno.EPERM})
#: The last one is Azure's for a container that does not exist; adlfs raises a RuntimeError from it.
_LASTING_NAMES = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "ParamValidationError", "ResourceNotFoundError"}
)


def require_address(argument: str, given: object) -> None:
    """
    Refuse what cannot be the address of a file or a folder.

    :param argument: its name, for messages.
    :param given: a URL, an absolute path or an ``ObjectStoragePath``.
    :raises OllangConfigurationError: it is none, or has a password.
    """
    text = str(given).strip() if isinstance(given, str | ObjectStoragePath) else ""
    rest = text.partition("://")[2] or text
    # Before anything of it is shown: a password may hold any character, an "@" or a "/" too.
    if not text.startswith(("/", "file:/")) and ":" in rest.rpartition("@")[0]:
        raise OllangConfigurationError(
            f"{argument} must name an Airflow connection before its @, not a user and a password, and no part of "
            "it before an @ may have a colon."
        )
    if not (text.startswith("/") or "://" in text) or "{{" in text:
        raise OllangConfigurationError(
            f"{argument} must be a URL such as s3://my_aws_conn@bucket/prefix, an absolute path or an "
            f"ObjectStoragePath, not {repr(text[:80]) if text else type(given).__name__}."
        )
    if "//" in rest.rstrip("/"):
        raise OllangConfigurationError(
            f"{argument} has an empty part between two slashes: {text[:80]!r}. Is a part of its template empty?"
        )


def open_address(argument: str, given: str | ObjectStoragePath) -> ObjectStoragePath:
    """
    Return an address as ``ObjectStoragePath``.

    :raises OllangConfigurationError: no store takes it.
    """
    try:
        return ObjectStoragePath(given.strip()) if isinstance(given, str) else given
    except (ValueError, ImportError) as error:
        raise OllangConfigurationError(f"{argument} is of no store that this worker knows ({error}).") from None


@dataclass(frozen=True)
class StoreErrors:
    """
    Says what went wrong with a store.

    :param argument: the argument that names it.
    :param address: what it says.
    :param protocol: of the store.
    :param advice: what to check where the next try would meet the same.
    :param redact: makes a library's text fit for a message.
    """

    argument: str
    address: str
    protocol: str
    advice: str
    redact: Callable[[str], str]

    @contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """
        Raise a library's error as one of ours.

        :param what: what the store may fail to do: "be read".
        :raises OllangConfigurationError: the next try would meet the same.
        :raises OllangTransientError: any other one.
        """
        try:
            yield
        except OllangError:
            raise
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever a store raises
            # The texts of the libraries may show signed addresses, so none of them goes on as a cause.
            raise self._error(what, error) from None

    def _error(self, what: str, error: BaseException) -> OllangError:
        text = type(error).__name__
        with suppress(Exception):
            text = self.redact(f"{text}: {error}")
        names = {type(cause).__name__ for cause in (error, error.__cause__, error.__context__)}
        if isinstance(error, ValueError) and "No filesystem registered" in text:
            package = _PROVIDERS.get(self.protocol)
            advice = f"install {package}" if package else "install the provider that brings it, or attach() one"
            reason = f": Airflow has no file system for {self.protocol}://; {advice}, on every worker."
        elif isinstance(error, ImportError):
            reason = f": a package is missing on this worker ({text})."
        elif isinstance(error, AirflowNotFoundException):
            reason = f": {text}. Create that connection, or name another before the @ of the {self.argument}."
        elif isinstance(error, _LASTING) or getattr(error, "errno", None) in _LASTING_NUMBERS or names & _LASTING_NAMES:
            reason = f" ({text}). {self.advice}"
        else:
            return OllangTransientError(f"{self.argument} {self.address} could not {what} ({text}).")
        return OllangConfigurationError(f"{self.argument} {self.address} cannot {what}{reason}")


def dataset_of(path: ObjectStoragePath) -> Any:
    """Return a file or folder as OpenLineage names it."""
    from airflow.providers.common.compat.openlineage.facet import Dataset  # noqa: PLC0415 - only where it is installed

    if path.protocol in {"", "file"}:
        return Dataset(namespace="file", name=path.path)
    # Not its key, which Airflow cuts at a "#".
    name = path.path.strip("/").removeprefix(f"{path.bucket}/")
    return Dataset(namespace=f"{path.protocol}://{path.bucket}", name=name)
