"""
Airflow's execution API in this process, at a fraction of its usual cost.

``dag.test()`` reaches it through WSGI and a thread per call and per dependency; a task makes some ten calls.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
import threading
from collections.abc import Callable
from typing import Any

import anyio.to_thread
from airflow.api_fastapi.execution_api import app
from airflow.api_fastapi.execution_api.routes import execution_api_router
from airflow.api_fastapi.execution_api.versions import bundle
from airflow.configuration import conf
from airflow.sdk.api import client
from airflow.sdk.execution_time import supervisor
from fastapi import FastAPI

#: The HTTP library of Airflow's client; since 3.4 another than FastAPI's.
httpx: Any = vars(client).get("httpx2") or vars(client)["httpx"]


class OneThread(httpx.BaseTransport):  # type: ignore[misc]
    """Calls an ASGI application in an event loop of its own thread, its synchronous endpoints included."""

    def __init__(self, app: Any) -> None:
        self._asgi = httpx.ASGITransport(app=app)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="execution-api", daemon=True).start()
        # Held, for it ends when it is collected.
        self._lifespan = app.router.lifespan_context(app)
        self._run(self._lifespan.__aenter__())

    def handle_request(self, request: Any) -> Any:
        return self._run(self._respond(request))

    async def _respond(self, request: Any) -> Any:
        # The newest version, for the endpoints that ask which one was called.
        bundle.api_version_var.set(None)
        response = await self._asgi.handle_async_request(request)
        body = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, content=body)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


async def _run_here(function: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
    return function(*arguments)


def _newest_version(lifespan: Any = app.lifespan) -> FastAPI:
    """Return the API without its older versions, which take seconds to make and each request some milliseconds."""
    newest = FastAPI(lifespan=lifespan)
    newest.include_router(execution_api_router)
    return newest


def make_cheap() -> None:
    """Let all tasks of this process share one server, and let it use one thread."""
    if not hasattr(supervisor.in_process_api_server, "cache_info"):
        # Before Airflow 3.3 each task of a dag.test() waits for an API server of its own to be built: for seconds.
        supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
    if not conf.get("api_auth", "jwt_secret", fallback=""):
        # Airflow 3.1 checks tokens in the same process, too, as soon as the application's lifespan is entered.
        conf.set("api_auth", "jwt_secret", secrets.token_hex())
    app.create_task_execution_api_app = _newest_version
    api = supervisor.in_process_api_server()
    api.transport = OneThread(api.app)
    anyio.to_thread.run_sync = _run_here  # type: ignore[assignment]
