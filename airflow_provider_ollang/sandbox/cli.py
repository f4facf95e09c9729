"""The command line, `python -m airflow_provider_ollang.sandbox`, and the tables with which docs/sandbox.md is built."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import signal
import sys
from typing import TYPE_CHECKING

from airflow_provider_ollang.sandbox.admin_api import ROUTES
from airflow_provider_ollang.sandbox.faults import Do, Fault
from airflow_provider_ollang.sandbox.lifecycle import REVIEW_STAGES, REVIEWED_STAGES, STAGES, USUAL_SECONDS
from airflow_provider_ollang.sandbox.options import Behaviour, SandboxError, options_table
from airflow_provider_ollang.sandbox.order import EXAMPLE_ID
from airflow_provider_ollang.sandbox.sandbox import Sandbox
from airflow_provider_ollang.sandbox.start_orders import FOREIGN_ID, ROWS, row_ids

if TYPE_CHECKING:
    from collections.abc import Iterable


def main(arguments: list[str] | None = None) -> int:
    """Serve a sandbox until SIGINT or SIGTERM; return 1 if it could not start."""
    given = _parser().parse_args(arguments)
    if given.describe:
        print("\n\n".join(f"{title}\n\n{text}" for title, text in tables().items()))  # noqa: T201 - the program's output
        return 0
    try:
        del given.describe
        asyncio.run(_serve(Sandbox(**vars(given))))
    except (OSError, OverflowError, SandboxError) as error:
        print(f"The Ollang sandbox cannot start: {error}", file=sys.stderr)  # noqa: T201 - the program's output
        return 1
    except KeyboardInterrupt:
        pass
    return 0


async def _serve(sandbox: Sandbox) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await sandbox.serve()
    try:
        lines = [
            f"Ollang sandbox listening on {sandbox.url}",
            f"export AIRFLOW_CONN_OLLANG_DEFAULT='{sandbox.connection_json}'",
            # The example DAGs poll once a minute, which is long for a sandbox.
            "export OLLANG_POKE_INTERVAL=2",
        ]
        if sandbox.ca_bundle:
            lines.append(f"Clients must trust {sandbox.ca_bundle}")
        print(*lines, sep="\n", flush=True)  # noqa: T201 - the program's output
        await stopped.wait()
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
    parser.add_argument("--tls", action="store_true", help="serve https, with a new certificate")
    parser.add_argument(
        "--behaviour", type=json.loads, default={}, help="options of all orders, as a JSON object", metavar="JSON"
    )
    parser.add_argument("--describe", action="store_true", help="print orders, lifecycles, options and faults")
    return parser


# Tables


def tables() -> dict[str, str]:
    """Return each table under its name, as Markdown."""
    return {
        "orders": _orders(),
        "lifecycles": _lifecycles(),
        "behaviour": options_table(Behaviour),
        "admin": _table(("call", "what it does"), [(f"`{method} {path}`", about) for method, path, _, about in ROUTES]),
        "faults": options_table(Fault),
        "do": options_table(Do),
    }


def with_tables(page: str) -> str:
    """Return a page with a table in place of what is between `<!-- table: NAME -->` and `<!-- end -->`."""
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}\n{tables()[match[2]]}\n\n{match[3]}",
        page,
        flags=re.DOTALL,
    )


def _orders() -> str:
    rows = [(f"`{EXAMPLE_ID}`", "`cc`", "`completed`", "0", "the order of the page *Get Order by ID*")]
    for order_id, row in zip(row_ids(), ROWS, strict=True):
        about = f"{row.name}{row.about and ': '}{row.about}"
        rows.append((f"`{order_id}`", f"`{row.type}`", f"`{row.status}`", str(row.level), about))
    rows.append((f"`{FOREIGN_ID}`", "`cc`", "`completed`", "0", "of another account: 403"))
    return _table(("id", "type", "status", "level", "what it is"), rows)


def _lifecycles() -> str:
    rows = []
    reviewed = [("level 1", REVIEWED_STAGES), ("human review", REVIEW_STAGES)]
    for name, stages in [*((f"`{name}`", stages) for name, stages in STAGES.items()), *reviewed]:
        steps = [f"{stage.after:g} `{stage.status}`{f' ({stage.event})' if stage.event else ''}" for stage in stages]
        outputs = USUAL_SECONDS + float(Behaviour().outputs_after or 0)
        end = [f"{USUAL_SECONDS:g} `{Behaviour().end_status}`", f"{outputs:g} outputs"]
        rows.append((name, ", ".join([*steps, *end])))
    return _table(("type", "seconds after the request"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
