"""Settings of the Flow Manager: its keys, functions of an installation, Kafka."""
