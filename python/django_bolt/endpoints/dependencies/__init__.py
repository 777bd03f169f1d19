"""Dependencies of handlers: what they are, and how they are run for one connection."""
