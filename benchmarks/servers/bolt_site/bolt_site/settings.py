"""The least that Django and django_bolt need; everything else has its default."""

from __future__ import annotations

import os
from typing import Any

DEBUG = False
ALLOWED_HOSTS = ["*"]
SECRET_KEY = "only-for-benchmarks-on-the-loopback-interface"
INSTALLED_APPS = ["django_bolt"]
# It sets Content-Length, as in every project that `startproject` makes.
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "bolt_site.urls"
USE_TZ = True

# The idle scenario holds 10,000 connections, the default limit; the probe of the port needs room too.
BOLT: dict[str, Any] = {"MAX_CONNECTIONS": 20_000}
# A Valkey that servers/with_valkey.py has started.
if "BENCHMARK_BROKER" in os.environ:
    BOLT["BROKER"] = os.environ["BENCHMARK_BROKER"]
