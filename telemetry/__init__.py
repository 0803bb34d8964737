"""What only observes: logs and metrics."""
