"""Who does the work: mailboxes, workers, guards and what they are made of."""
