"""One request's way: accepted, planned, composed, fed to its channels, collected, recovered."""
