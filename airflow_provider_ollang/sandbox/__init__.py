"""A local Ollang to develop and test DAGs against, without an account: see `Sandbox` and docs/sandbox.md.

It shares nothing with the rest of the package, so that client and sandbox can disagree.
"""

from __future__ import annotations

from airflow_provider_ollang.sandbox.files import SIGNATURE
from airflow_provider_ollang.sandbox.options import Behaviour, SandboxError
from airflow_provider_ollang.sandbox.sandbox import Sandbox

__all__ = ["SIGNATURE", "Behaviour", "Sandbox", "SandboxError"]
