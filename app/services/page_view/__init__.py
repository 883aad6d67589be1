"""The content of the page behind a link. Only reads."""
