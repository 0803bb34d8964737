"""What is said, to whom, and the way of one dispatch. No HTTP, no provider."""
