from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from django_bolt import HTTPException
from django_bolt.auth.jwt_places import TokenPlaces
from tests.memory_connection import MemoryConnection

PLACES = ["header", "subprotocol", "query_parameter", "cookie"]


def places(*wanted: str) -> TokenPlaces:
    names: dict[str, Any] = {
        "header": "Authorization",
        "subprotocol": True,
        "query_parameter": "token",
        "cookie": "jwt",
    }
    return TokenPlaces(**{name: value if name in wanted else None for name, value in names.items()})


def handshake(*filled: str, **more: str) -> MemoryConnection:
    """Return an opening handshake whose places hold tokens with their own names."""
    fields = {
        "header": ("authorization", "Bearer header"),
        "subprotocol": ("sec-websocket-protocol", "bolt, bearer.subprotocol"),
        "cookie": ("cookie", "other=1; jwt=cookie"),
    }
    target = "/ws?token=query_parameter" if "query_parameter" in filled else "/ws"
    headers = [fields[name] for name in filled if name in fields]
    return MemoryConnection(target, [*headers, *more.items()])


@pytest.mark.parametrize("place", PLACES)
def test_a_token_is_found_where_it_may_stand(place: str) -> None:
    everywhere = handshake(*PLACES)
    assert places(place).find(everywhere) == place
    assert places(place).find(handshake(*(name for name in PLACES if name != place))) is None


def test_the_first_place_counts() -> None:
    for number, place in enumerate(PLACES):
        assert places(*PLACES).find(handshake(*PLACES[number:])) == place
    assert places(*PLACES).find(handshake()) is None


@pytest.mark.parametrize("value", ["Bearer", "bearer ", "Bearer   "])
def test_a_header_field_without_a_token_is_wrong_credentials(value: str) -> None:
    websocket = MemoryConnection("/ws?token=x", [("authorization", value)])
    assert places("header", "query_parameter").find(websocket) == " "


@pytest.mark.parametrize(
    "fields",
    [
        [("sec-websocket-protocol", "bearer.")],
        [("cookie", "jwt=")],
        [("authorization", "Basic x")],
    ],
)
def test_an_empty_place_is_none(fields: list[tuple[str, str]]) -> None:
    assert places(*PLACES).find(MemoryConnection("/ws?token=", fields)) is None


@override_settings(BOLT={"ALLOWED_ORIGINS": ["*"]})
def test_a_cookie_is_accepted_from_pages_of_this_site_alone() -> None:
    foreign = {"origin": "https://evil.example"}
    with pytest.raises(HTTPException) as raised:
        places("cookie").find(handshake("cookie", **foreign))
    assert raised.value.status_code == 403
    assert places("cookie").find(handshake("cookie", origin="http://testserver")) == "cookie"
    for place in PLACES[:-1]:
        assert places(place, "cookie").find(handshake(place, "cookie", **foreign)) == place


def test_there_must_be_a_place() -> None:
    with pytest.raises(ValueError, match="a place"):
        places()
