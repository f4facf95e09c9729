"""What operators and sensors share; knows Airflow."""
