"""The embedded store: one SQLite file and the logs beside it."""
