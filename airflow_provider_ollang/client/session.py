"""The ``requests`` session of the API and of the file hosts: no environment, no cookies, no redirects."""

from __future__ import annotations

import http.client
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING

import requests
import urllib3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests.adapters import HTTPAdapter

    from airflow_provider_ollang.client.settings import Settings

#: Everything that the libraries below a session raise; their texts may show headers, links and passwords.
NETWORK_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """
        Know of no target.

        With ``allow_redirects=False`` too ``requests`` prepares the next request, for which it reads the whole body
        of a redirect (https://github.com/psf/requests/issues/4123).
        """


def new_session(settings: Settings, adapter: HTTPAdapter) -> requests.Session:
    """
    Return a session that follows no redirect, keeps no cookie and reads no environment.

    :param settings: whose certificates count. The proxy is given with each request: hosts of files have others.
    :param adapter: sends the requests.
    """
    session = _Session()
    # The environment is read once, into the settings: a .netrc would add a login to every request, or replace one
    # (https://github.com/psf/requests/issues/3929).
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    session.verify = (settings.ca_bundle or True) if settings.verify else False
    for prefix in ("http://", "https://"):
        session.mount(prefix, adapter)
    return session


def proxies(proxy: str | None) -> dict[str, str] | None:
    """Return a proxy as ``requests`` takes it."""
    return {"http": proxy, "https": proxy} if proxy else None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield a library's error and what it was made of, down to the one that started it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        inner = [getattr(cause, "reason", None), *cause.args, cause.__cause__, cause.__context__]
        cause = next((value for value in inner if isinstance(value, BaseException)), None)
