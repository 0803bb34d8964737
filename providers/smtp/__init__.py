"""Any SMTP server that takes mail for delivery: submission over STARTTLS, TLS or, if said, neither.

The client is one of our own over trio. `smtplib` blocks a thread for each connection, and a call
that is given up could not be ended in it: the thread would go on, and a mail might be sent after
its delivery had been told to be in doubt, or expired. It does not pipeline either.
"""
