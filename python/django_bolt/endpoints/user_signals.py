"""From Django's signals to events about users.

Each event waits for the commit of the transaction that it happens in: what is rolled back closes nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

from django.apps import apps
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import FieldDoesNotExist
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save

from django_bolt.auth.session import session_mark
from django_bolt.auth.user_state import UserState
from django_bolt.auth.users import user_key
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.announcing import announce
from django_bolt.endpoints.user_events import (
    LoggedOut,
    PermissionsChanged,
    UserDeleted,
    UserEvent,
    UserSaved,
)

__all__ = ["connect_signals"]

_SETTINGS: dict[type[Any], tuple[str, ...]] = {
    LoggedOut: ("close_on_logout",),
    UserSaved: ("close_on_password_change", "close_on_deactivation", "close_on_permission_loss"),
    UserDeleted: ("close_on_deactivation",),
    PermissionsChanged: ("close_on_permission_loss",),
}
"""What has to be on for an event to matter."""
_CHANGES = frozenset({"post_add", "post_remove", "post_clear"})


def connect_signals() -> None:
    """Have Django's signals about users announced; called once, when all apps are ready."""
    user_logged_out.connect(_on_logout, dispatch_uid="django_bolt.logged_out")
    for model in _user_models():
        post_save.connect(_on_save, sender=model, dispatch_uid="django_bolt.user_saved")
        post_delete.connect(_on_delete, sender=model, dispatch_uid="django_bolt.user_deleted")
    for through in _through_models():
        m2m_changed.connect(
            _on_change_of_users, sender=through, dispatch_uid="django_bolt.permissions_of_user"
        )
    from django.contrib.auth.models import Group, Permission

    m2m_changed.connect(
        _on_change, sender=Group.permissions.through, dispatch_uid="django_bolt.group_changed"
    )
    for gone in (Group, Permission):
        post_delete.connect(_on_change, sender=gone, dispatch_uid="django_bolt.permission_deleted")


def _user_models() -> Iterable[type[Model]]:
    """Return the user model, with its proxies and children, of which each sends signals of its own."""
    user_model = get_user_model()
    return [model for model in apps.get_models() if issubclass(model, user_model)]


def _through_models() -> Iterable[type[Model]]:
    """Return the tables by which users have groups and permissions, where the user model has them."""
    for name in ("groups", "user_permissions"):
        try:
            field: Any = get_user_model()._meta.get_field(name)
        except FieldDoesNotExist:
            continue
        if field.many_to_many:
            yield field.remote_field.through


def _on_logout(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    session = getattr(request, "session", None)
    if session is None or session.session_key is None:
        return
    user_id = session.get(SESSION_KEY) if user is None else user.pk
    if user_id is not None:
        _announce(LoggedOut(user_key(user_id), session_mark(session, user_id)))


def _on_save(
    sender: Any,
    instance: Any,
    created: bool,
    using: str,
    update_fields: Collection[str] | None,
    **kwargs: Any,
) -> None:
    if created:
        return
    state = UserState.of(instance, update_fields)
    # What `set_password` leaves until after the signal; an upgraded hash of the same password leaves nothing.
    has_new_password = state.password is not None and getattr(instance, "_password", None) is not None
    if has_new_password or state != UserState():
        _announce(UserSaved(user_key(instance.pk), state, has_new_password), using)


def _on_delete(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    _announce(UserDeleted(user_key(instance.pk)), using)


def _on_change_of_users(
    sender: Any, instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, using: str, **kwargs: Any
) -> None:
    """Announce that users have other groups or permissions; `reverse` means that `instance` is one of these."""
    changed_nothing = pk_set is not None and not pk_set
    if action not in _CHANGES or changed_nothing:
        return
    if not reverse:
        _announce(PermissionsChanged([user_key(instance.pk)]), using)
    elif pk_set is None:  # cleared: nobody can tell any more whose it was
        _announce(PermissionsChanged(None), using)
    else:
        _announce(PermissionsChanged([user_key(primary_key) for primary_key in pk_set]), using)


def _on_change(sender: Any, using: str, action: str = "post_remove", **kwargs: Any) -> None:
    """Announce that a group has other permissions, or that a group or a permission is gone."""
    if action in _CHANGES:
        _announce(PermissionsChanged(None), using)


def _announce(event: UserEvent, using: str | None = None) -> None:
    transaction.on_commit(partial(_announce_now, event), using=using, robust=True)


def _announce_now(event: UserEvent) -> None:
    settings = bolt_settings()
    if any(getattr(settings, name) for name in _SETTINGS[type(event)]):
        announce(event)
