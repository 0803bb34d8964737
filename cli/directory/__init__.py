"""`carillon users` and `carillon templates`: what the store has of both."""
