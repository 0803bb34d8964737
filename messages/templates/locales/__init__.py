"""Numbers and dates as toLocaleString writes them, from Babel's locale data."""
