"""Run a management command of the site, as in ``python tests/attacks/site/manage.py runbolt``."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

from django.core.management import execute_from_command_line


def end_with_parent() -> None:
    """Have the kernel end this process when the tests' does, which a test that hangs makes end without goodbye."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


if __name__ == "__main__":
    end_with_parent()
    # In the place of this folder, in which `api` and `settings` would be modules of their own.
    sys.path[0] = str(Path(__file__).resolve().parents[3])
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.attacks.site.settings"
    execute_from_command_line(sys.argv)
