"""Mails that are made here: one MIME message a delivery, for whoever carries mails as they are."""
