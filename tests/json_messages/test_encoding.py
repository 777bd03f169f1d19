from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.contrib.auth.models import User as Account
from django.db import models
from django.http import QueryDict
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy
from pydantic import AnyUrl, BaseModel, SecretStr

from django_bolt.json_messages import encode_json


class Move(msgspec.Struct):
    x: int
    path: list[int] = []


@dataclass
class Point:
    x: int


class Colour(enum.Enum):
    RED = "red"


class Port(int):
    """A subclass of a built-in class."""


class Ratio(float):
    """Another."""


class Level(models.IntegerChoices):
    HIGH = 2


class Size(models.TextChoices):
    SMALL = "s", gettext_lazy("Small")


class User(BaseModel):
    name: str
    born: date | None = None


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        ({"type": "message", "data": "Hello"}, b'{"type":"message","data":"Hello"}'),
        ("é", '"é"'.encode()),
        (None, b"null"),
        (Move(1), b'{"x":1,"path":[]}'),
        (Point(1), b'{"x":1}'),
        (Colour.RED, b'"red"'),
        (Decimal("1.50"), b'"1.50"'),
        (UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (datetime(2024, 1, 1, tzinfo=UTC), b'"2024-01-01T00:00:00Z"'),
        ({"label": gettext_lazy("Yes")}, b'{"label":"Yes"}'),
        ({gettext_lazy("Yes"): 1}, b'{"Yes":1}'),
        ([mark_safe("<b>"), format_lazy("{}!", gettext_lazy("Yes"))], b'["<b>","Yes!"]'),
        ({mark_safe("<b>"): 1}, b'{"<b>":1}'),
        ([Port(80), Ratio(0.5)], b"[80,0.5]"),
        ([Level.HIGH, Size.SMALL, Size.SMALL.label], b'[2,"s","Small"]'),
        ({"one"}, b'["one"]'),
        (QueryDict("a=1&a=2"), b'{"a":["1","2"]}'),
        (timedelta(minutes=1), b'"PT60S"'),
        (User(name="Ada"), b'{"name":"Ada","born":null}'),
        (
            [{"user": User(name="Ada", born=date(1815, 12, 10))}],
            b'[{"user":{"name":"Ada","born":"1815-12-10"}}]',
        ),
        ({"at": AnyUrl("http://a/")}, b'{"at":"http://a/"}'),
    ],
)
def test_what_can_be_sent(data: Any, encoded: bytes) -> None:
    assert encode_json(data) == encoded


def test_what_has_no_json_form_is_named() -> None:
    with pytest.raises(TypeError, match=r"object cannot be sent as JSON$"):
        encode_json({"a": object()})


def test_a_query_is_not_run_by_sending_it() -> None:
    with pytest.raises(
        TypeError, match=r"QuerySet cannot .*: fetch its rows first, as in \[row async for row"
    ):
        encode_json(Account.objects.values("username"))
    with pytest.raises(TypeError, match=r"User cannot .*: send those of its fields"):
        encode_json([Account(username="ada")])
    lazy = SimpleLazyObject(lambda: pytest.fail("evaluated"))
    with pytest.raises(TypeError, match="SimpleLazyObject cannot"):
        encode_json(lazy)


def test_a_coroutine_that_was_not_awaited_is_told() -> None:
    async def fetch() -> int:
        return 1

    coroutine = fetch()
    with pytest.raises(TypeError, match="coroutine cannot be sent as JSON: await it first"):
        encode_json({"count": coroutine})
    coroutine.close()


def test_a_model_that_pydantic_cannot_serialise_has_no_json_form() -> None:
    class Holder(BaseModel):
        held: Any

    with pytest.raises(TypeError, match="Holder cannot be sent as JSON: Unable to serialize"):
        encode_json(Holder(held=object()))


def test_a_model_decides_itself_how_it_is_sent() -> None:
    class Secret(BaseModel):
        word: SecretStr

        def model_dump_json(self, **options: Any) -> str:
            return '{"overridden":true}'

    assert encode_json({"a": Secret(word=SecretStr("x"))}) == b'{"a":{"overridden":true}}'
