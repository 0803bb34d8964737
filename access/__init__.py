"""Who may do what: API keys, and the operator token where there are none."""
