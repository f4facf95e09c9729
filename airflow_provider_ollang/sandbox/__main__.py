"""`python -m airflow_provider_ollang.sandbox`: serve a sandbox until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys

from airflow_provider_ollang.sandbox.describe import document
from airflow_provider_ollang.sandbox.errors import SandboxError
from airflow_provider_ollang.sandbox.sandbox import Sandbox


def main(arguments: list[str] | None = None) -> int:
    """Serve a sandbox until SIGINT or SIGTERM.

    :return: 0 if it was ended so, 1 if it could not start.
    """
    options = _parser().parse_args(arguments)
    if options.describe:
        print(document())  # noqa: T201 - the program's output
        return 0
    try:
        sandbox = Sandbox(
            host=options.host,
            port=options.port,
            files_port=options.files_port,
            api_key=options.api_key,
            speed=options.speed,
            behaviour=options.behaviour,
            tls=options.tls,
        )
        asyncio.run(_serve(sandbox))
    except (OSError, OverflowError, SandboxError) as error:
        print(f"The Ollang sandbox cannot start: {error}", file=sys.stderr)  # noqa: T201 - the program's output
        return 1
    except KeyboardInterrupt:
        pass
    return 0


async def _serve(sandbox: Sandbox) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await sandbox.serve()
    try:
        print(f"Ollang sandbox listening on {sandbox.url}", flush=True)  # noqa: T201 - the program's output
        print(f"export AIRFLOW_CONN_OLLANG_DEFAULT='{sandbox.connection_json}'", flush=True)  # noqa: T201
        # The example DAGs poll once a minute, which is long for a sandbox.
        print("export OLLANG_POKE_INTERVAL=2", flush=True)  # noqa: T201
        if sandbox.ca_bundle:
            print(f"Its certificate is vouched for by {sandbox.ca_bundle}", flush=True)  # noqa: T201
        await ended.wait()
    finally:
        await sandbox.close()
        sandbox.discard()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_ollang.sandbox",
        description="A local Ollang to develop and test DAGs against, without an account.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8075, help="port; 0 picks a free one (default: %(default)s)")
    parser.add_argument("--files-port", type=int, default=0, help="port of its files; 0 picks a free one (default)")
    parser.add_argument("--api-key", default="sandbox-key", help="the key it takes (default: %(default)s)")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="sandbox seconds per real second; 0 stands still (default: 1)"
    )
    parser.add_argument("--tls", action="store_true", help="serve https, with a certificate made now")
    parser.add_argument(
        "--behaviour", type=json.loads, default={}, help="knobs of all orders, as a JSON object", metavar="JSON"
    )
    parser.add_argument("--describe", action="store_true", help="print orders, stories, knobs and faults, and end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
