"""`carillon demo`: the service with sample users, sending no real messages."""
