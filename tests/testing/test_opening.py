from __future__ import annotations

from http.cookies import SimpleCookie

import pytest

from django_bolt.testing.opening import Headers, Opening, store_cookies


def request_of(opening: Opening, jar: SimpleCookie | None = None) -> list[str]:
    """Return the lines of the opening handshake, without those that are always there."""
    defaults = {"X-One": "default", "X-Two": "default"}
    connection = opening.connection("testserver", defaults, jar or SimpleCookie())
    lines = connection.data_to_send().decode("latin-1").split("\r\n")
    fixed = ("Upgrade:", "Connection:", "Sec-WebSocket-Key:", "Sec-WebSocket-Version:")
    return [line for line in lines if line and not line.startswith(fixed)]


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("/ws", None, "/ws"),
        ("/ws", {}, "/ws"),
        ("/ws?a=1", None, "/ws?a=1"),
        ("/ws", {"a": 1, "b": "x y"}, "/ws?a=1&b=x+y"),
        ("/ws?a=1", {"b": ["2", "3"]}, "/ws?a=1&b=2&b=3"),
    ],
)
def test_the_target(path: str, query: dict[str, object] | None, target: str) -> None:
    assert request_of(Opening(path=path, query=query))[0] == f"GET {target} HTTP/1.1"


@pytest.mark.parametrize("headers", [{"x-one": "own"}, [("x-one", "own")], iter([("x-one", "own")])])
def test_own_header_fields_replace_those_of_the_client(headers: Headers) -> None:
    fields = request_of(Opening(path="/", headers=headers))[1:]
    assert fields == ["Host: testserver", "x-one: own", "X-Two: default"]


def test_a_repeated_header_field() -> None:
    fields = request_of(Opening(path="/", headers=[("X-One", "1"), ("X-One", "2")]))[1:]
    assert fields == ["Host: testserver", "X-One: 1", "X-One: 2", "X-Two: default"]


def test_another_host() -> None:
    fields = request_of(Opening(path="/", headers={"host": "example.com"}))[1:]
    assert [field for field in fields if field.lower().startswith("host")] == ["Host: example.com"]


def test_own_cookies_replace_those_of_the_jar() -> None:
    jar = SimpleCookie({"a": "1", "b": "two words"})
    assert request_of(Opening(path="/"), jar)[-1] == 'Cookie: a=1; b="two words"'
    assert request_of(Opening(path="/", cookies={"a": "3", "c": "4"}), jar)[-1] == (
        'Cookie: a=3; b="two words"; c=4'
    )


def test_subprotocols_are_offered() -> None:
    assert "Sec-WebSocket-Protocol: chat, superchat" in request_of(
        Opening(path="/", subprotocols=["chat", "superchat"])
    )


def test_cookies_of_the_answer_are_stored() -> None:
    connection = Opening(path="/").connection("testserver", {}, SimpleCookie())
    connection.response_headers = [("set-cookie", "a=1; Path=/"), ("x", "b=2"), ("set-cookie", "c=3; Secure")]
    jar = SimpleCookie({"a": "0"})
    store_cookies(jar, connection)
    assert {name: morsel.value for name, morsel in jar.items()} == {"a": "1", "c": "3"}
    assert jar["c"]["secure"]
