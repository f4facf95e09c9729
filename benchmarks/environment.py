"""Makes the environment that `make bench` measures in: this provider's own, with the newest dbt Cloud provider.

It stands apart from `.venv`, so that nothing that is tested or shipped ever sees the other provider.
"""

from __future__ import annotations

import subprocess
import sys

from dev.bootstrap import ROOT, fingerprint

PLACE = ROOT / ".airflow" / "benchmarks"
OTHER_PROVIDER = "apache-airflow-providers-dbt-cloud"


def ensure() -> None:
    """Make or refresh the environment."""
    uv, python = str(ROOT / ".venv" / "bin" / "uv"), str(PLACE / "bin" / "python")
    stamp, wanted = PLACE / ".made-from", fingerprint()
    if not stamp.is_file() or stamp.read_text() != wanted:
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(PLACE)], check=True)
    pins = ["--constraints", str(ROOT / "dev" / "requirements.txt"), "--group", str(ROOT / "pyproject.toml:dev")]
    what = [*pins, "-e", str(ROOT), OTHER_PROVIDER]
    # Each time, since a newer version of the other provider may be out; it takes a second where nothing is new.
    options = ["--quiet", "--compile-bytecode", "--upgrade-package", OTHER_PROVIDER]
    subprocess.run([uv, "pip", "install", "--python", python, *options, *what], check=True)
    stamp.write_text(wanted)


if __name__ == "__main__":
    ensure()
