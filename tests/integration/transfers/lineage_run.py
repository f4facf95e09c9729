"""One delivery by `dag.test()` in a process of its own, so that OpenLineage's listener is loaded with its transport."""

from __future__ import annotations

import sys

from tests.integration.conftest import _store
from tests.integration.transfers.conftest import delivery


def main(destination: str, order_id: str) -> None:
    dag = delivery(destination, order_id=order_id)
    _store(dag)
    dag.test()


if __name__ == "__main__":
    main(*sys.argv[1:])
