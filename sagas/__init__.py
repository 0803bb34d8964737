"""Sagas: takes a Flow Manager's commands, makes dispatches, and answers with events."""
