"""Authentication by the session of the site: who is logged in there is known here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
)
from django.core.exceptions import ValidationError
from django.utils.crypto import constant_time_compare, salted_hmac

from django_bolt.auth.ambient import require_trusted_origin
from django_bolt.auth.backends import AuthResult, BaseAuthentication
from django_bolt.auth.users import user_key
from django_bolt.conf import bolt_settings
from django_bolt.threads import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django_bolt.endpoints.websocket import WebSocket

__all__ = ["ANY_SESSION", "SessionAuthentication", "session_mark"]

ANY_SESSION = "any session of user "
"""How a mark begins that is not of one session."""

_ENGINES_WITH_APP = ("django.contrib.sessions.backends.db", "django.contrib.sessions.backends.cached_db")


class SessionAuthentication(BaseAuthentication):
    """Authenticate by the cookie of Django's session, of any session engine.

    As in a view, the session counts while its user exists, is active, and has the password that it had at
    log-in. A session is looked at and never changed.

    A browser sends the cookie whatever page connects. So the page must be of this site, or of an origin that
    ``CSRF_TRUSTED_ORIGINS`` or ``BOLT["ALLOWED_ORIGINS"]`` lists; ``"*"`` lists none, and the answer is HTTP
    403. A client that sends no origin is no browser and is let in.
    """

    www_authenticate: ClassVar[str] = "Session"
    expiry_reason: ClassVar[str] = "session expired"

    async def authenticate(self, websocket: WebSocket) -> AuthResult | None:
        """Look up the session.

        Returns:
            The logged-in user; None if there is no session, or nobody is logged in there any more.

        Raises:
            HTTPException: 403: there is a session, but the page is of an origin that is not trusted.
        """
        session_key = websocket.cookies.get(settings.SESSION_COOKIE_NAME)
        if not session_key or "\0" in session_key:
            return None
        require_trusted_origin(websocket, "session")
        return await run_in_thread(_look_up, session_key)

    async def renew(self, websocket: WebSocket) -> AuthResult | None:
        """Look at the session again: each use of the site may have made it last longer."""
        return await self.authenticate(websocket)

    def find_problems(self) -> Iterable[str]:
        """Name the apps that are missing."""
        needed = ["django.contrib.auth"]
        if settings.SESSION_ENGINE in _ENGINES_WITH_APP:
            needed.append("django.contrib.sessions")
        for name in needed:
            if not apps.is_installed(name):
                yield f"{self.name} needs {name!r} in INSTALLED_APPS"


def session_mark(session: Any, user_id: Any) -> str:
    """Return what a session is known by: nothing that would let one in.

    Where the cookie is the session itself (``signed_cookies``), it changes with each change of the content. So
    all sessions of a user have one mark there.
    """
    from django.contrib.sessions.backends.signed_cookies import SessionStore

    if isinstance(session, SessionStore):
        return f"{ANY_SESSION}{user_key(user_id)}"
    return salted_hmac("django_bolt.auth.session", session.session_key, algorithm="sha256").hexdigest()


def _look_up(session_key: str) -> AuthResult | None:
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = _user_of(session)
    if user is None:
        return None
    end = _end_of(session) if bolt_settings().close_on_expiry else None
    return AuthResult(user.pk, expires_at=end, session=session_mark(session, user.pk), user=user)


def _user_of(session: Any) -> Any:
    """Return the logged-in user as `django.contrib.auth.get_user` does, which may also write to the session."""
    try:
        user_id = get_user_model()._meta.pk.to_python(session[SESSION_KEY])
        backend = session[BACKEND_SESSION_KEY]
    except (KeyError, ValidationError):
        return None
    if backend not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = load_backend(backend).get_user(user_id)
    return user if user is not None and _is_of_password(session, user) else None


def _is_of_password(session: Any, user: Any) -> bool:
    """Return whether the password is the one of the log-in."""
    if not hasattr(user, "get_session_auth_hash"):
        return True
    kept = session.get(HASH_SESSION_KEY) or ""
    current = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(kept, entry) for entry in current)


def _end_of(session: Any) -> float:
    """Return when a session ends; where its engine does not tell, the latest time at which it can."""
    from django.contrib.sessions.backends.db import SessionStore

    end = None
    if isinstance(session, SessionStore):
        rows = session.model.objects.filter(session_key=session.session_key)
        end = rows.values_list("expire_date", flat=True).first()
    return float((end or session.get_expiry_date()).timestamp())
