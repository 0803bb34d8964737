"""Every Protocol between the rooms, for its implementations and its callers."""
