"""`carillon dispatches`: looks at dispatches, cancels them, redrives them."""
