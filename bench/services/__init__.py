"""Programs that take part as processes of their own: the service in variants, and stand-ins."""
