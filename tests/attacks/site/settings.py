"""Settings of the site under attack; the environment's ``ATTACKED_SITE_BOLT`` is ``BOLT`` as JSON."""

from __future__ import annotations

import json
import os
from typing import Any

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "[::1]", "localhost"]
SECRET_KEY = "only-for-attacks-on-the-loopback-interface"
INSTALLED_APPS = ["django_bolt"]
ROOT_URLCONF = "tests.attacks.site.urls"
USE_TZ = True
FORM_RENDERER = "django.forms.renderers.DjangoTemplates"

BOLT: dict[str, Any] = {"API": "tests.attacks.site.api", **json.loads(os.environ["ATTACKED_SITE_BOLT"])}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
