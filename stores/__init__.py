"""What survives: users, templates, files and the journal."""
