"""`carillon store`: backup, check, repair, resume, move."""
