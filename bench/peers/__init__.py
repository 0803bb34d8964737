"""What the service is measured beside, each a program of its own that does the same job."""
