"""Endpoints: what an application declares, and how an opening handshake finds its way to a handler."""
