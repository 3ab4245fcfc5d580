"""The page at ``/ops``: one place to look for whoever runs the nights."""
