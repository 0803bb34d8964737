"""`carillon demo`: the service with sample users, and nobody reached."""
