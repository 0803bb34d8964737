"""What the bench says of what it measured: sections of tables and bars."""
