"""Fixtures for tests in more than one folder."""

from tests.postgresql import postgresql

__all__ = ["postgresql"]
