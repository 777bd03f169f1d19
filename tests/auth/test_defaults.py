from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_bolt.auth import AllowAny, IsAuthenticated, JWTAuthentication
from django_bolt.auth.defaults import default_authentication, default_guards, make_authentication, make_guards


def test_without_settings_there_are_none() -> None:
    assert (default_authentication(), default_guards()) == ((), ())


@pytest.mark.parametrize(
    "entry", ["django_bolt.auth.JWTAuthentication", JWTAuthentication, JWTAuthentication()]
)
def test_authentication_is_given_as_path_class_or_instance(entry: Any) -> None:
    with override_settings(BOLT={"AUTHENTICATION": [entry]}):
        assert [type(made) for made in default_authentication()] == [JWTAuthentication]


@pytest.mark.parametrize("entry", ["django_bolt.auth.IsAuthenticated", IsAuthenticated, IsAuthenticated()])
def test_guards_are_given_as_path_class_or_instance(entry: Any) -> None:
    with override_settings(BOLT={"GUARDS": [entry]}):
        assert [type(made) for made in default_guards()] == [IsAuthenticated]


def test_they_are_made_once_and_again_for_other_settings() -> None:
    with override_settings(BOLT={"GUARDS": [AllowAny]}):
        assert default_guards() is default_guards()
    with override_settings(BOLT={"GUARDS": [IsAuthenticated]}):
        assert [type(made) for made in default_guards()] == [IsAuthenticated]
    assert default_guards() == ()


@pytest.mark.parametrize(
    "entry", ["nowhere.Guard", "django_bolt.auth.Nothing", "django_bolt.auth.JWTAuthentication", int]
)
def test_what_is_no_guard_is_named(entry: Any) -> None:
    with override_settings(BOLT={"GUARDS": [entry]}), pytest.raises(ImproperlyConfigured):
        default_guards()


def test_lists_of_an_endpoint_are_made_likewise() -> None:
    guard = AllowAny()
    assert make_guards([guard, IsAuthenticated])[0] is guard
    assert make_authentication([]) == ()


@pytest.mark.parametrize("entry", [IsAuthenticated, IsAuthenticated(), "IsAuthenticated", None])
def test_a_single_one_is_not_a_list(entry: Any) -> None:
    with pytest.raises(TypeError, match=r"Guards are given in a list, as in \[IsAuth.* not as a single "):
        make_guards(entry)
    with pytest.raises(TypeError, match=r"Authentications are given in a list, as in \[JWT"):
        make_authentication(entry)


def test_what_is_no_authentication_is_named() -> None:
    wrong: Any = [IsAuthenticated]
    with pytest.raises(TypeError, match="IsAuthenticated is no BaseAuthentication"):
        make_authentication(wrong)
