"""The least that Django and Channels need."""

from __future__ import annotations

import os
from typing import Any

DEBUG = False
ALLOWED_HOSTS = ["*"]
SECRET_KEY = "only-for-benchmarks-on-the-loopback-interface"
INSTALLED_APPS = ["channels"]
USE_TZ = True

CHANNEL_LAYERS: dict[str, dict[str, Any]] = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
# A Valkey that servers/with_valkey.py has started.
if "BENCHMARK_BROKER" in os.environ:
    CHANNEL_LAYERS["default"] = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [os.environ["BENCHMARK_BROKER"]]},
    }
