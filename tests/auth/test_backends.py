from __future__ import annotations

import pytest

from django_bolt.auth import AuthResult, BaseAuthentication
from tests.memory_connection import MemoryConnection


class Custom(BaseAuthentication):
    """Nothing of its own."""


def test_the_name_is_that_of_the_class() -> None:
    assert Custom().name == "Custom"


def test_an_authentication_must_decide() -> None:
    with pytest.raises(NotImplementedError, match="Custom must define authenticate"):
        Custom().authenticate(MemoryConnection())


def test_a_result_may_have_no_claims() -> None:
    assert AuthResult(1).claims == {}
