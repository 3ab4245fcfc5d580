"""The schedule of the night in Airflow; the stages themselves are in pipelines/."""
