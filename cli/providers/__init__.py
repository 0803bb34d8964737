"""`carillon providers`: looks at the providers of a service, and tunes them."""
