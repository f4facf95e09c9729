"""What a developer of this provider needs: an environment, a whole Airflow to try it on, the tests."""
