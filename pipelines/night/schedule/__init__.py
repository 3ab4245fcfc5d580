"""What a scheduler asks of a night, and what Airflow says of its runs."""
