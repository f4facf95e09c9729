"""
What Airflow knows about this provider without importing its hooks, operators or sensors.

The connection form stands in one table, :data:`CONNECTION_FIELDS`; the metadata that Airflow 3.2 and newer read
and the hook methods that Airflow 3.1 reads are both made from it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from airflow_provider_ollang import __version__

DEFAULT_HOST = "https://api-integration.ollang.com"


@dataclass(frozen=True)
class ConnectionField:
    """
    One extra field of the Ollang connection form.

    :param name: its key in the connection's extra.
    :param label: what the form calls it.
    :param description: the form's help text.
    :param json_type: ``"integer"``, ``"number"``, ``"boolean"`` or ``"string"``.
    :param default: what an empty field means.
    :param limits: JSON schema keywords such as ``minimum``.
    """

    name: str
    label: str
    description: str
    json_type: str
    default: Any = None
    limits: dict[str, Any] = dataclasses.field(default_factory=dict)

    def conn_field(self) -> dict[str, Any]:
        """Return the field as the ``conn-fields`` entry of the provider metadata; blank is always allowed."""
        schema: dict[str, Any] = {"type": [self.json_type, "null"], **self.limits}
        if self.default is not None:
            schema["default"] = self.default
        return {"label": self.label, "description": self.description, "schema": schema}


CONNECTION_FIELDS = (
    ConnectionField(
        "timeout",
        "Timeout (seconds)",
        "How long one request may take, its whole response included.",
        "number",
        30,
        {"minimum": 1, "maximum": 600},
    ),
    ConnectionField(
        "max_attempts",
        "Attempts per request",
        "How often a request that is safe to repeat is sent at most. A rerun is never repeated once it may "
        "have been processed.",
        "integer",
        5,
        {"minimum": 1, "maximum": 20},
    ),
    ConnectionField(
        "verify",
        "Verify TLS certificate",
        "Switch off only for a server of your own that you reach over a network you trust.",
        "boolean",
        True,
    ),
    ConnectionField(
        "ca_bundle",
        "CA bundle",
        "Path, on every worker and triggerer, of the certificates to trust instead of the usual ones.",
        "string",
    ),
    ConnectionField(
        "proxy",
        "Proxy",
        "Proxy URL for requests to Ollang; empty means the proxies of the environment.",
        "string",
    ),
    ConnectionField(
        "allow_http",
        "Allow plain HTTP",
        "Send the API key unencrypted to a host that is not this machine.",
        "boolean",
        False,
    ),
)

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["login", "schema"],
    "relabeling": {"password": "API key", "host": "Base URL", "port": "Port (the Test button needs one: 443)"},
    "placeholders": {"host": DEFAULT_HOST, "password": "from lab.ollang.com", "port": "443"},
}


def get_provider_info() -> dict[str, Any]:
    """
    Return the metadata of the provider, the entry point ``apache_airflow_provider`` names this function.

    :return: a mapping that Airflow's ``provider_info.schema.json`` describes.
    """
    return {
        "package-name": "airflow-provider-ollang",
        "name": "Ollang",
        "description": "Check, rerun, wait for, judge and deliver localization orders of `Ollang <https://ollang.com>`__",
        "versions": [__version__],
        "integrations": [
            {"integration-name": "Ollang", "external-doc-url": "https://api-docs.ollang.com", "tags": ["service"]},
        ],
        "connection-types": [
            {
                "connection-type": "ollang",
                "hook-class-name": "airflow_provider_ollang.hooks.ollang.OllangHook",
                "hook-name": "Ollang",
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
                "conn-fields": {field.name: field.conn_field() for field in CONNECTION_FIELDS},
            }
        ],
        "hooks": _modules("airflow_provider_ollang.hooks.ollang"),
        "operators": _modules(
            "airflow_provider_ollang.operators.cancel",
            "airflow_provider_ollang.operators.ollang",
            "airflow_provider_ollang.operators.orders",
            "airflow_provider_ollang.operators.quality",
            "airflow_provider_ollang.operators.review",
        ),
        "sensors": _modules("airflow_provider_ollang.sensors.ollang"),
        "triggers": _modules("airflow_provider_ollang.triggers.ollang"),
        "transfers": [
            {
                "source-integration-name": "Common IO",
                "target-integration-name": "Ollang",
                "python-module": "airflow_provider_ollang.transfers.object_storage_to_ollang",
            },
            {
                "source-integration-name": "Ollang",
                # As Airflow's own provider calls what ObjectStoragePath reaches.
                "target-integration-name": "Common IO",
                "python-module": "airflow_provider_ollang.transfers.ollang_to_object_storage",
            },
        ],
    }


def _modules(*names: str) -> list[dict[str, Any]]:
    return [{"integration-name": "Ollang", "python-modules": list(names)}]
