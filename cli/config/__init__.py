"""`carillon config`: checks a configuration, and prints its JSON Schema."""
