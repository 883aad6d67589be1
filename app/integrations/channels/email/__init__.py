"""E-mail by SMTP, or written to files if no server is set."""
