"""What was delivered, as the task returns it and as lineage tells it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.runtime.stores import dataset_of
from airflow_provider_ollang.transfers._names import safe_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import ObjectStoragePath

    from airflow_provider_ollang.transfers._plan import Plan
    from airflow_provider_ollang.transfers._store import Delivered, Store

#: Bytes of JSON; a larger manifest is a file. Databases and UIs are not made for large XComs.
LARGEST = 48_000


def to_manifest(order_id: str, store: Store, planned: Plan, delivered: Mapping[str, Delivered]) -> dict[str, Any]:
    """Return the manifest of a delivery."""
    return {
        "order_id": order_id,
        "destination": store.address,
        "outputs_changed": planned.outputs_changed,
        "bytes": sum(file.size for file in delivered.values()),
        "file_count": len(planned.files),
        "files": [
            {
                "document_id": file.document_id,
                "name": file.name,
                "type": file.type,
                "path": store.path_of(delivered[file.key].file_name),
                "bytes": delivered[file.key].size,
                "sha256": delivered[file.key].sha256,
                "is_new": file.is_new,
            }
            for file in planned.files
        ],
        "manifest": None,
    }


def to_xcom(manifest: dict[str, Any], store: Store) -> dict[str, Any]:
    """
    Return a manifest that is small enough for an XCom: a large one is written beside the delivery.

    :raises OllangError: the store fails.
    """
    content = json.dumps(manifest).encode()
    if len(content) <= LARGEST:
        return manifest
    names = {file["path"].rpartition("/")[2].casefold() for file in manifest["files"]}
    name = safe_name(f"ollang-manifest-{manifest['order_id']}.json")
    while name.casefold() in names:
        name = f"_{name}"
    with store.open(name, len(content)) as staged:
        staged.write(content)
        written = staged.publish()
    file = {"path": store.path_of(name), "bytes": written.size, "sha256": written.sha256}
    return {**manifest, "files": None, "manifest": file}


def lineage_of(host: str, order_id: str, folder: ObjectStoragePath) -> Any:
    """
    Return an order as input and a folder as output, as OpenLineage's provider takes them.

    :param host: base URL of the Ollang API.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset  # noqa: PLC0415 - only where it is installed
    from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415

    return OperatorLineage(inputs=[Dataset(namespace=host, name=f"orders/{order_id}")], outputs=[dataset_of(folder)])
