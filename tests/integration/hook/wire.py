"""What tests of requests on the wire share."""

from __future__ import annotations

import pytest

from airflow_provider_ollang.exceptions import (
    OllangError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook

from .conftest import ORDER

BODY = f'{{"id": "{ORDER}", "status": "completed", "success": true}}'.encode()


def failing(hook: OllangHook, what: str = "get") -> OllangError:
    with pytest.raises(OllangError) as caught:
        hook.get_order(ORDER, max_attempts=1) if what == "get" else hook.rerun_order(ORDER)
    return caught.value


both = pytest.mark.parametrize("what", ["get", "rerun"])
