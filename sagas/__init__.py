"""Sagas: commands of a Flow Manager in, dispatches and events out."""
