"""The least that Django and django_bolt need; every setting that no case is about has its default."""

from __future__ import annotations

from typing import Any

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
SECRET_KEY = "only-for-cases-on-the-loopback-interface"
INSTALLED_APPS = ["django_bolt"]
ROOT_URLCONF = "echo_site.urls"
USE_TZ = True

BOLT: dict[str, Any] = {
    # Cases 9.1.6 and 9.2.6 send a message of 16 MiB in one frame.
    "MAX_MESSAGE_SIZE": 16 * 2**20,
    "MAX_FRAME_SIZE": 16 * 2**20,
    # The fuzzer takes a ping that no case asked for as the end of the case, as Autobahn does.
    "PING_INTERVAL": None,
}
