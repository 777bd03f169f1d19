"""The users of the test project: what is done to them by requests to the site, live or in this process."""

from __future__ import annotations

import http.cookiejar
import json
import urllib.parse
import urllib.request
import uuid
from typing import Any

from django.conf import settings
from django.test import Client

from tests.conformance.sites import TIMEOUT, LiveSite, Site


class Visitor:
    """A browser at the site, with a user of its own whose password is ``first``.

    Args:
        site: The site.
        options: Options of the action ``make``, see `tests.project.accounts`.
    """

    def __init__(self, site: Site, *options: str, **more: str) -> None:
        self.username = f"user-{uuid.uuid4().hex[:8]}"
        self._browser = LiveBrowser(site) if isinstance(site, LiveSite) else InnerBrowser()
        self.pk = self.act("make", **dict.fromkeys(options, "on"), **more)["pk"]

    def act(self, action: str, username: str | None = None, **form: str) -> dict[str, Any]:
        """Do something, by default to the visitor's own user."""
        form["username"] = username or self.username
        return self._browser.post(f"/accounts/{action}/", form)

    def log_in(self) -> Visitor:
        """Log in."""
        self.act("log_in")
        return self

    @property
    def cookies(self) -> dict[str, str]:
        """Header field with the session cookie."""
        return {"Cookie": f"{settings.SESSION_COOKIE_NAME}={self._browser.session()}"}


class LiveBrowser:
    """Requests over the network."""

    def __init__(self, site: LiveSite) -> None:
        self._url = site.server.url
        self._jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._jar)
        )

    def post(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        """Send a form."""
        data = urllib.parse.urlencode(form).encode()
        with self._opener.open(self._url + path, data, TIMEOUT) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    def session(self) -> str:
        """Return the value of the session cookie."""
        return next((c.value or "" for c in self._jar if c.name == settings.SESSION_COOKIE_NAME), "")


class InnerBrowser:
    """Requests within the process."""

    def __init__(self) -> None:
        self._client = Client()

    def post(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        """Send a form."""
        answer: dict[str, Any] = self._client.post(path, form).json()
        return answer

    def session(self) -> str:
        """Return the value of the session cookie."""
        cookie = self._client.cookies.get(settings.SESSION_COOKIE_NAME)
        return cookie.value if cookie else ""
