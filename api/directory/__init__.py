"""Users and templates over HTTP, where the directory is ours."""
