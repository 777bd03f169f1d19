"""Settings with the database that the environment variable ``ORM_DATABASE`` names, as JSON."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403 - the rest is the same

DATABASES = {"default": json.loads(os.environ["ORM_DATABASE"])}
