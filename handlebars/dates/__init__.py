"""Dates as JavaScript and Day.js read and write them: milliseconds since 1970, of any year."""
