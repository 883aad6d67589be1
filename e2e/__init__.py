"""The checks that `run_e2e_tests.py` runs against a live service."""
