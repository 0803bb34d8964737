"""An HTTP/1.1 client on trio for many short calls, and httpx for what it does not speak."""
