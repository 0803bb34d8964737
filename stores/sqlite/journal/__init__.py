"""The journal in SQLite: a write-ahead log that is synchronised, tables that follow it."""
