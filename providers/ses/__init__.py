"""Amazon Simple Email Service, API version 2."""
