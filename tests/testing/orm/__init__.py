"""Django tests of handlers that use the ORM; run on each kind of database by ``tests/testing/test_database.py``."""
