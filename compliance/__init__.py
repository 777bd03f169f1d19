"""Autobahn's cases against a live server; start with ``run.py``."""
