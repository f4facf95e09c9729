"""Apache Airflow provider for Ollang."""

__version__ = "0.1.0"
