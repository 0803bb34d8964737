"""The HTTP server: one task a connection, each error kept to its connection."""
