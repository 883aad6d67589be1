"""HTTP: what comes in, who may, what goes out."""
