"""Says from which seed the stories are."""

from __future__ import annotations

import os


def pytest_report_header() -> str:
    return f"stories: {os.environ.get('STORIES', '100')} from seed {os.environ.get('SEED', '0')}"
