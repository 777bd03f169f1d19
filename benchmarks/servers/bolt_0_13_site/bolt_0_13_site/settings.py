"""The least that Django and django-bolt 0.13 need; everything else has its default."""

from __future__ import annotations

DEBUG = False
ALLOWED_HOSTS = ["*"]
SECRET_KEY = "only-for-benchmarks-on-the-loopback-interface"
INSTALLED_APPS = ["django_bolt"]
ROOT_URLCONF = "bolt_0_13_site.urls"
USE_TZ = True
