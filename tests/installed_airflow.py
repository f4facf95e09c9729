"""
What the installed Airflow has, and where it keeps it: found by looking rather than by version.

A test of what an older Airflow lacks is skipped, and says what is missing. `make test-matrix` knows such a skip by its
first words, and takes any other for a failure.
"""

from __future__ import annotations

from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
from airflow import sdk
from airflow.providers_manager import ProvidersManager
from airflow.secrets import BaseSecretsBackend
from airflow.triggers.base import BaseTrigger

try:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk.serde import deserialize, serialize
    from airflow.serialization.decoders import smart_decode_trigger_kwargs
    from airflow.serialization.definitions.dag import SerializedDAG
except ImportError:  # Airflow 3.1
    from airflow.models.dagbag import DagBag  # type: ignore[no-redef,assignment,attr-defined,unused-ignore]
    from airflow.serialization.serde import (  # type: ignore[no-redef,import-not-found,unused-ignore]
        deserialize,
        serialize,
    )
    from airflow.serialization.serialized_objects import (  # type: ignore[no-redef,attr-defined,unused-ignore]
        SerializedDAG,
        smart_decode_trigger_kwargs,
    )

TaskStateStoreAccessor: Any = None
if find_spec("airflow.models.task_state_store"):
    from airflow.sdk.execution_time.context import TaskStateStoreAccessor

RetryDecision: Any = None
OllangRetryPolicy: Any = None
if "RetryPolicy" in sdk.__all__:
    from airflow.sdk import RetryDecision

    from airflow_provider_ollang.retry_policy import OllangRetryPolicy

#: Whether a retry policy can have a task run again without using a retry.
can_reschedule = hasattr(RetryDecision, "reschedule")
#: Whether a connection with a broken extra comes out of Airflow at all, so that ours can say what is wrong with it.
hands_out_broken_connections = hasattr(BaseSecretsBackend, "_set_connection_class")
#: Whether this aiohttp refuses an answer with too many headers, as http.client does.
limits_headers = "max_headers" in signature(aiohttp.ClientSession).parameters

__all__ = [
    "MISSING",
    "DagBag",
    "OllangRetryPolicy",
    "RetryDecision",
    "SerializedDAG",
    "TaskStateStoreAccessor",
    "can_reschedule",
    "deserialize",
    "hands_out_broken_connections",
    "limits_headers",
    "needs_form_metadata",
    "needs_forms_without_hooks",
    "needs_reschedule",
    "needs_retry_policies",
    "needs_start_in_the_triggerer",
    "needs_task_loops",
    "needs_task_state_store",
    "needs_whole_names_in_no_proxy",
    "read_dags",
    "serialize",
    "smart_decode_trigger_kwargs",
]


#: How the reason for a skip begins where the installed versions lack something.
MISSING = "missing here: "


def read_dags(file: Path) -> DagBag:
    """Read the DAGs of a file as Airflow does."""
    names: dict[str, Any] = {"bundle_name": "dags-folder"} if "bundle_name" in signature(DagBag).parameters else {}
    return DagBag(file, **names)


def _needs(feature: str, *, is_there: bool) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not is_there, reason=MISSING + feature)


needs_task_state_store = _needs("a task state store (Airflow 3.3)", is_there=TaskStateStoreAccessor is not None)
needs_retry_policies = _needs("retry policies (Airflow 3.3)", is_there=RetryDecision is not None)
needs_reschedule = _needs("retry policies that reschedule (Airflow 3.4)", is_there=can_reschedule)
needs_task_loops = _needs("task loops (Airflow 3.4)", is_there="LoopDecision" in sdk.__all__)
needs_start_in_the_triggerer = _needs(
    "templates that are rendered in the triggerer (Airflow 3.3)",
    is_there=hasattr(BaseTrigger, "render_template_fields"),
)
needs_form_metadata = _needs(
    "connection forms made from metadata (Airflow 3.2)", is_there=hasattr(ProvidersManager, "_load_ui_metadata")
)
needs_forms_without_hooks = _needs(
    "connection forms made from metadata alone (Airflow 3.3)",
    is_there=hasattr(ProvidersManager, "iter_connection_type_hook_ui_metadata"),
)
needs_whole_names_in_no_proxy = _needs(
    "a requests that compares whole names of hosts with NO_PROXY (2.33)",
    is_there=not requests.utils.should_bypass_proxies("https://api.ollang.example", no_proxy="i.ollang.example"),
)
