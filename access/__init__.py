"""Access control: API keys, and the operator token for a service without keys."""
