"""The journal in MongoDB: inserts that fence, batches, the states of dispatches."""
