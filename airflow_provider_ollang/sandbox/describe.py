"""The tables of docs/sandbox.md, made from the code.

`python -m airflow_provider_ollang.sandbox.describe docs/sandbox.md` brings the page up to date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_ollang.sandbox.behaviour import Behaviour
from airflow_provider_ollang.sandbox.catalogue import EXAMPLE_ID, FOREIGN_ID, ROWS, row_ids
from airflow_provider_ollang.sandbox.control import CALLS
from airflow_provider_ollang.sandbox.faults import Do, Fault, generators
from airflow_provider_ollang.sandbox.knobs import table
from airflow_provider_ollang.sandbox.stories import DRAWN_TO, PATHS, REVIEWED, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence


def sections() -> dict[str, str]:
    """Return each table under its name."""
    return {
        "orders": _orders(),
        "stories": _stories(),
        "behaviour": table(Behaviour),
        "control": _rows(("call", "what it does"), [(f"`{m} {p}`", about) for m, p, about in CALLS]),
        "faults": table(Fault),
        "do": table(Do),
        "generators": _rows(("name", "usual size", "begins with"), generators()),
    }


def document() -> str:
    """Return all tables, each under its name."""
    return "\n\n".join(f"{name}\n\n{text}" for name, text in sections().items())


def filled(page: str) -> str:
    """Return a page with its tables, marked by `<!-- table: NAME -->` and `<!-- end -->`, up to date."""
    tables = sections()
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found.group(1)}\n{tables[found.group(2)]}\n\n{found.group(3)}",
        page,
        flags=re.DOTALL,
    )


def _orders() -> str:
    rows = [(f"`{EXAMPLE_ID}`", "`cc`", "`completed`", "0", "the order of the page *Get Order by ID*")]
    rows += [
        (
            f"`{order_id}`",
            f"`{row.type}`",
            f"`{row.status}`",
            str(row.level),
            f"{row.name}{row.about and ': '}{row.about}",
        )
        for order_id, row in zip(row_ids(), ROWS, strict=True)
    ]
    rows.append((f"`{FOREIGN_ID}`", "`cc`", "`completed`", "0", "of another account: 403"))
    return _rows(("id", "type", "status", "level", "what it is"), rows)


def _stories() -> str:
    rows = [(f"`{name}`", _path(path)) for name, path in PATHS.items()]
    rows.append(("any, at level 1", _path(REVIEWED)))
    return _rows(("type", "seconds after the rerun"), rows)


def _path(path: tuple[Stage, ...]) -> str:
    steps = [f"{stage.after:g} `{stage.status}`{f' ({stage.event})' if stage.event else ''}" for stage in path]
    outputs = DRAWN_TO + float(Behaviour().outputs_after or 0)
    return ", ".join([*steps, f"{DRAWN_TO:g} `{Behaviour().end_status}`", f"{outputs:g} outputs"])


def _rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        file = Path(name)
        file.write_text(filled(file.read_text(encoding="utf-8")), encoding="utf-8")
