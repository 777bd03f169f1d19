"""A small Django project, served by the tests as a user would serve it: ``manage.py runbolt``."""
