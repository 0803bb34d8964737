"""HTTP and nothing else: routes, the error shape, the documentation."""
