"""Every Protocol between the rooms, for those who implement one and those who call it."""
