"""The vocabulary: commands, deliveries, receipts, events and ports. No HTTP, no provider."""
