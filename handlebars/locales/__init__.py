"""Numbers and dates as toLocaleString writes them, from a table of what Node's Intl writes."""
