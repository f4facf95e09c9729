"""Tasks run by `dag.test()` in a process of its own, so that OpenLineage's listener is loaded with its transport."""

from __future__ import annotations

import sys

from tests.integration import execution_api
from tests.integration.conftest import _store
from tests.integration.transfers.conftest import delivery
from tests.integration.transfers.uploads import upload_dag


def main(order_id: str, destination: str, source: str) -> None:
    execution_api.make_cheap()
    for dag in (delivery(destination, order_id=order_id), upload_dag(source=source)):
        _store(dag)
        dag.test()


if __name__ == "__main__":
    main(*sys.argv[1:])
