"""Documents from outside: read one by one, and what identifies each."""
