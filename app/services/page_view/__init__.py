"""What the page behind a link shows of an incident. Only reads."""
