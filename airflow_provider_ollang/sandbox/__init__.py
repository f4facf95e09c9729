"""A local Ollang to develop and test DAGs against, without an account: see `Sandbox` and docs/sandbox.md.

It shares nothing with the rest of the package, so that the two can disagree.
"""

from __future__ import annotations

from airflow_provider_ollang.sandbox.behaviour import Behaviour
from airflow_provider_ollang.sandbox.errors import SandboxError
from airflow_provider_ollang.sandbox.sandbox import Sandbox
from airflow_provider_ollang.sandbox.views import SIGNATURE

__all__ = ["SIGNATURE", "Behaviour", "Sandbox", "SandboxError"]
