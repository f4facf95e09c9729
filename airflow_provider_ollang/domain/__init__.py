"""Rules. Pure: no input or output, no Airflow, no logging."""
