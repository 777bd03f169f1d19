"""Run a management command of the site, as in ``python tests/attacks/site/manage.py runbolt``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    # In the place of this folder, in which `api` and `settings` would be modules of their own.
    sys.path[0] = str(Path(__file__).resolve().parents[3])
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.attacks.site.settings"
    execute_from_command_line(sys.argv)
