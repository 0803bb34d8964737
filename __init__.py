"""Carillon: one request reaches any number of users, and the truth is told about each."""
