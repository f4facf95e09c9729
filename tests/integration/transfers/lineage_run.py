"""A task run by `dag.test()` in a process of its own, so that OpenLineage's listener is loaded with its transport."""

from __future__ import annotations

import sys

from tests.integration import execution_api
from tests.integration.conftest import _store
from tests.integration.transfers.conftest import delivery
from tests.integration.transfers.uploads import upload_dag


def main(what: str, path: str, *order_id: str) -> None:
    execution_api.make_cheap()
    dag = delivery(path, order_id=order_id[0]) if what == "deliver" else upload_dag(source=path)
    _store(dag)
    dag.test()


if __name__ == "__main__":
    main(*sys.argv[1:])
