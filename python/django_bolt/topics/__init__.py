"""Topics: what is published reaches every subscriber, in this process and in others."""
