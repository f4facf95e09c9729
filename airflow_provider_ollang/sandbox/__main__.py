"""`python -m airflow_provider_ollang.sandbox`: serve a sandbox until Ctrl-C."""

import sys

from airflow_provider_ollang.sandbox.cli import main

sys.exit(main())
