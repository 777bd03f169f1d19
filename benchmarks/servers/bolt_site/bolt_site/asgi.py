"""The same site without django_bolt's server, for uvicorn alone."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bolt_site.settings")
application = get_asgi_application()
