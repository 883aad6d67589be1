"""HTTP: routes, permissions, request parsing and error answers."""
