"""E-mail by SMTP, or as files while no server is set."""
