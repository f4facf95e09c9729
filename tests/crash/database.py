"""How Airflow opens its SQLite file, which more workers than usual write to: its triggerer dies of a short wait."""

CONNECT_ARGS = {"timeout": 60}
