"""Users and templates of Mia-Platform's CRUD Service."""
