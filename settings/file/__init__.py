"""The configuration file: its keys, their values, its checks, its JSON Schema."""
