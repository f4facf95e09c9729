"""Ollang's API: requests, responses and how they are sent. No Airflow."""
