"""Settings of the test project: those of the tests, with what a server in its own process needs.

The environment says what differs from one live server to the next:

=========================  ==============================================================
``TEST_PROJECT_DIRECTORY``  where the database and uploads are; required
``TEST_PROJECT_BOLT``       ``BOLT`` as JSON
``TEST_PROJECT_DEBUG``      ``1`` for ``DEBUG``
=========================  ==============================================================
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.settings import *  # noqa: F403 - the tests and the server share keys, hosts and apps
from tests.settings import INSTALLED_APPS as SHARED_APPS

DIRECTORY = Path(os.environ["TEST_PROJECT_DIRECTORY"])

DEBUG = os.environ.get("TEST_PROJECT_DEBUG") == "1"
ROOT_URLCONF = "tests.project.urls"
INSTALLED_APPS = [*SHARED_APPS, "tests.project"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DIRECTORY / "db.sqlite3"}}
FILE_UPLOAD_TEMP_DIR = DIRECTORY
STATIC_ROOT = DIRECTORY / "static"

BOLT: dict[str, Any] = json.loads(os.environ.get("TEST_PROJECT_BOLT", "{}"))
# By itself, every server of the project on this machine would get what any of them publishes.
BOLT.setdefault("BROKER", f"local://{DIRECTORY.name}")

# Everything, so that a test can say what must not be in it.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "DEBUG"},
}
