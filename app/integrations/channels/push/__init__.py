"""Push by ntfy or Web Push."""
