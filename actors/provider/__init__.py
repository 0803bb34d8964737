"""What guards one provider: limits, breaker, quota, the history of its calls, one call."""
