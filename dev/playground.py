"""`make airflow`: a whole Airflow with the example DAGs and a sandbox to run them against, until Ctrl-C."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from airflow_provider_ollang.sandbox import Sandbox
from dev.processes import Interrupted, StackError, interruptible
from dev.stack import AirflowStack

EXAMPLES = Path(__file__).parents[1] / "example_dags"


def main() -> int | str:
    """Run both until somebody ends them; return an error if something else did."""
    try:
        with interruptible(), Sandbox() as ollang:
            print("starting Airflow: API server, scheduler, DAG processor, triggerer …", flush=True)
            with AirflowStack(dags_folders=[EXAMPLES], env={"OLLANG_POKE_INTERVAL": "5"}) as airflow:
                # Stored, and not in the environment: only so it is listed in the UI and can be edited there.
                airflow.api("POST", "/connections", json={"connection_id": "ollang_default", **ollang.connection})
                airflow.wait_for_dag("ollang_rerun_order")
                print(introduction(airflow, ollang), flush=True)
                airflow.wait(lambda: None, float("inf"), "Airflow")
    except Interrupted:
        print("everything is stopped")
    except StackError as error:
        return str(error)
    return 0


def introduction(airflow: AirflowStack, ollang: Sandbox) -> str:
    """Say where everything is."""
    own = {name: value for name, value in airflow.env.items() if name.startswith("AIRFLOW")}
    script = airflow.home / "env.sh"
    script.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in own.items()))
    command = shlex.quote(str(Path(sys.executable).with_name("airflow")))
    return f"""
  Airflow          {airflow.url} (no login needed)
  example DAG      {airflow.url}/dags/ollang_rerun_order
  its connection   {airflow.url}/connections: ollang_default
  its CLI          . {shlex.quote(str(script))} && {command} dags list
  its home         {airflow.home}
  Ollang sandbox   {ollang.url} (key: {ollang.api_key}; orders and admin API: {ollang.url}/_sandbox/)

A rerun takes half a minute here. Ctrl-C stops everything and removes Airflow's home."""


if __name__ == "__main__":
    sys.exit(main())
