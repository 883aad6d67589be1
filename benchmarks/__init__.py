"""Speed is measured here, never in the tests."""
