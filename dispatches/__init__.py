"""A request's path: accepted, planned, composed, fed to its channels, collected, recovered."""
