"""Mutants: faults put into the code on purpose, each of which a test must notice. `make mutants` runs them."""
