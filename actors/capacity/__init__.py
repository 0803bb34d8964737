"""A replica's share of a provider's limits: measured, negotiated, renewed, never exceeded."""
