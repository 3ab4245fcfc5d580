"""One night of a clinic: its stages in order, its workspace, Airflow, saved nights."""
