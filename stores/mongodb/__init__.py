"""The store that several replicas share."""
