"""Any HTTP API, by configuration."""
