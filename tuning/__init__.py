"""What operators change while the service runs: live settings, patches, plans, reloads."""
