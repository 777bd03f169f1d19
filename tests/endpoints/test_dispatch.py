from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.test import override_settings

from django_bolt import BoltAPI, EndpointCollision, WebSocket, WebSocketState
from django_bolt.auth import AuthResult, BaseAuthentication, BaseGuard, IsAuthenticated, never_blocks
from django_bolt.endpoints.dispatch import Dispatcher
from tests.memory_connection import MemoryConnection, serve


class Named(BaseAuthentication):
    """Know the client by the query parameter ``name``."""

    @never_blocks
    def authenticate(self, websocket: WebSocket) -> AuthResult | None:
        name = websocket.query_params.get("name")
        return AuthResult(name) if name else None


class Closed(BaseGuard):
    detail = "Closed today."

    def has_permission(self, websocket: WebSocket) -> bool:
        return False


def rejection(websocket: MemoryConnection) -> tuple[int, Any]:
    assert websocket.rejected is not None
    status, headers, body = websocket.rejected
    assert ("Content-Type", "application/json") in headers
    return status, json.loads(body)


@pytest.fixture
def calls() -> list[Any]:
    return []


@pytest.fixture
def dispatcher(calls: list[Any]) -> Dispatcher:
    api = BoltAPI()

    @api.websocket("/ws/room/{room_id}")
    async def room(websocket: WebSocket, room_id: int, page: int = 1, token: str | None = None) -> None:
        calls.append((room_id, page, token))
        await websocket.accept()

    @api.websocket("/ws/late")
    async def late(page: int, socket: WebSocket) -> None:
        calls.append(page)
        await socket.accept()

    @api.websocket("/ws/protected", auth=[Named], guards=[IsAuthenticated])
    async def protected(websocket: WebSocket, page: int) -> None:
        calls.append(websocket.context["user_id"])
        await websocket.accept()

    @api.websocket("/ws/closed", guards=[Closed])
    async def closed(websocket: WebSocket) -> None:
        calls.append("closed")

    @api.websocket("/ws/defaults")
    async def defaults(websocket: WebSocket) -> None:
        calls.append("defaults")
        await websocket.accept()

    return Dispatcher(api)


async def test_a_handler_gets_its_connection_and_parameters(dispatcher: Dispatcher, calls: list[Any]) -> None:
    websocket = await serve(dispatcher, MemoryConnection("/ws/room/5?page=2&token=a"))
    assert calls == [(5, 2, "a")]
    assert websocket.entered
    assert websocket.path_params == {"room_id": "5"}
    assert websocket.endpoint.path == "/ws/room/{room_id}"
    assert websocket.closed == (1000, "")


async def test_a_connection_may_come_after_the_parameters(dispatcher: Dispatcher, calls: list[Any]) -> None:
    await serve(dispatcher, MemoryConnection("/ws/late?page=3"))
    assert calls == [3]


async def test_a_task_is_kept_while_it_runs(dispatcher: Dispatcher) -> None:
    websocket = MemoryConnection("/ws/room/5")
    dispatcher(websocket)
    assert dispatcher.tasks == {websocket.task}
    await websocket.task
    assert dispatcher.tasks == set()


async def test_dispatching_does_not_run_the_handler(dispatcher: Dispatcher, calls: list[Any]) -> None:
    websocket = MemoryConnection("/ws/room/5")
    dispatcher(websocket)
    assert calls == []
    assert websocket.state is WebSocketState.CONNECTING
    await websocket.task


async def test_what_was_parsed_for_admission_is_released(dispatcher: Dispatcher) -> None:
    websocket = await serve(dispatcher, MemoryConnection("/ws/protected?name=ann&page=1"))
    assert not {"_headers", "_query_params", "_cookies"} & set(vars(websocket))


async def test_an_unknown_path_is_404(dispatcher: Dispatcher, calls: list[Any]) -> None:
    websocket = await serve(dispatcher, MemoryConnection("/ws/nothing"))
    assert rejection(websocket) == (404, {"detail": "Not Found"})
    assert calls == []


@pytest.mark.parametrize("host", ["evil.example", None])
async def test_a_host_that_is_not_allowed_is_400(dispatcher: Dispatcher, host: str | None) -> None:
    websocket = await serve(dispatcher, MemoryConnection("/ws/room/5", host=host))
    assert rejection(websocket) == (400, {"detail": "Bad Request"})


async def test_an_origin_that_is_not_allowed_is_403_before_anything_else(
    dispatcher: Dispatcher, calls: list[Any]
) -> None:
    websocket = await serve(dispatcher, MemoryConnection("/ws/room/x", [("origin", "https://evil.example")]))
    assert rejection(websocket) == (403, {"detail": "Forbidden"})
    assert calls == []
    assert not websocket.entered


async def test_the_own_origin_is_let_in(dispatcher: Dispatcher, calls: list[Any]) -> None:
    await serve(dispatcher, MemoryConnection("/ws/room/5", [("origin", "http://testserver")]))
    assert calls == [(5, 1, None)]


async def test_without_identity_it_is_401_before_parameters(dispatcher: Dispatcher, calls: list[Any]) -> None:
    websocket = await serve(dispatcher, MemoryConnection("/ws/protected"))
    assert rejection(websocket) == (401, {"detail": "Authentication required."})
    assert websocket.rejected is not None
    assert ("WWW-Authenticate", "Bearer") in websocket.rejected[1]
    assert calls == []


async def test_with_identity_the_parameters_are_next(dispatcher: Dispatcher, calls: list[Any]) -> None:
    refused = await serve(dispatcher, MemoryConnection("/ws/protected?name=ann"))
    assert rejection(refused)[0] == 422
    await serve(dispatcher, MemoryConnection("/ws/protected?name=ann&page=1"))
    assert calls == ["ann"]


async def test_a_guard_that_says_no_is_403(dispatcher: Dispatcher, calls: list[Any]) -> None:
    websocket = await serve(dispatcher, MemoryConnection("/ws/closed"))
    assert rejection(websocket) == (403, {"detail": "Closed today."})
    assert calls == []


async def test_bad_parameters_are_422_and_each_is_named(dispatcher: Dispatcher, calls: list[Any]) -> None:
    websocket = await serve(dispatcher, MemoryConnection("/ws/room/five?page=two"))
    status, body = rejection(websocket)
    assert status == 422
    assert body["detail"] == "Invalid parameters."
    assert [(error["parameter"], error["in"]) for error in body["errors"]] == [
        ("room_id", "path"),
        ("page", "query"),
    ]
    assert calls == []


@override_settings(DATA_UPLOAD_MAX_NUMBER_FIELDS=2)
async def test_too_many_query_parameters_are_400(dispatcher: Dispatcher) -> None:
    websocket = await serve(dispatcher, MemoryConnection("/ws/room/5?a=1&b=2&c=3"))
    assert rejection(websocket) == (400, {"detail": "Bad Request"})


async def test_defaults_of_the_settings_guard_what_names_none(
    dispatcher: Dispatcher, calls: list[Any]
) -> None:
    with override_settings(BOLT={"GUARDS": [Closed], "AUTHENTICATION": [Named]}):
        websocket = await serve(dispatcher, MemoryConnection("/ws/defaults"))
        assert rejection(websocket)[0] == 403
    await serve(dispatcher, MemoryConnection("/ws/defaults"))
    assert calls == ["defaults"]


async def test_a_refusal_is_logged_without_the_query(
    dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    for target in ("/ws/nothing?token=secret", "/ws/room/x?token=secret", "/ws/protected?token=secret"):
        await serve(dispatcher, MemoryConnection(target))
    assert [record.name for record in caplog.records] == ["django_bolt.handshake"] * 3
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert "Connection 7: 404 /ws/nothing: no endpoint" in caplog.text
    assert "422 /ws/room/x: Invalid parameters: room_id" in caplog.text
    assert "secret" not in caplog.text


async def test_a_refused_origin_is_logged_with_what_would_allow_it(
    dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    await serve(dispatcher, MemoryConnection("/ws/room/5", [("origin", "https://evil.example")]))
    assert "'https://evil.example'" in caplog.text
    assert "ALLOWED_ORIGINS" in caplog.text


async def test_a_client_that_left_meanwhile_is_not_answered(dispatcher: Dispatcher) -> None:
    websocket = MemoryConnection("/ws/nothing")
    dispatcher(websocket)
    websocket.leave()
    await websocket.task
    assert websocket.rejected is None


# ── too many connections ─────────────────────────────────────────────────────────────────────────────────


def from_address(
    address: str | None, target: str = "/ws/wait", *headers: tuple[str, str]
) -> MemoryConnection:
    """Return a connection from an address; None is a Unix socket."""
    websocket = MemoryConnection(target, headers)
    websocket.peer = (address, 50000) if address else None  # type: ignore[assignment]
    return websocket


@pytest.fixture
async def crowded(calls: list[Any]) -> AsyncIterator[Dispatcher]:
    """A dispatcher whose handlers wait until the test is over."""
    api = BoltAPI()
    over = asyncio.Event()

    @api.websocket("/ws/wait")
    async def wait(websocket: WebSocket) -> None:
        await websocket.accept()
        await over.wait()

    @api.websocket("/ws/user", auth=[Named])
    async def user(websocket: WebSocket) -> None:
        calls.append(websocket.context.get("user_id"))
        await websocket.accept()
        await over.wait()

    dispatcher = Dispatcher(api)
    yield dispatcher
    over.set()
    if dispatcher.tasks:
        await asyncio.wait(dispatcher.tasks)


async def begin(dispatcher: Dispatcher, websocket: MemoryConnection) -> MemoryConnection:
    """Begin to serve, as far as it gets by itself."""
    dispatcher(websocket)
    for _ in range(5):
        await asyncio.sleep(0)
    return websocket


async def end(websocket: MemoryConnection) -> None:
    """End a handler, as when its client stays away."""
    websocket.task.cancel()
    await asyncio.wait([websocket.task])
    await asyncio.sleep(0)


def is_refused(websocket: MemoryConnection) -> bool:
    """Whether it was answered with 429, instead of being accepted."""
    if websocket.accepted is not None:
        return False
    assert rejection(websocket) == (429, {"detail": "Too Many Requests"})
    assert websocket.rejected is not None
    assert ("Retry-After", "10") in websocket.rejected[1]
    return True


@override_settings(BOLT={"MAX_CONNECTIONS_PER_IP": 2})
async def test_too_many_connections_of_one_address_are_429(
    crowded: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    first = await begin(crowded, from_address("192.0.2.1"))
    assert not is_refused(await begin(crowded, from_address("192.0.2.1")))
    for _ in range(3):
        refused = await begin(crowded, from_address("192.0.2.1"))
        assert is_refused(refused)
        assert not refused.entered
    assert "429 /ws/wait: BOLT['MAX_CONNECTIONS_PER_IP'] is 2" in caplog.text
    assert not is_refused(await begin(crowded, from_address("192.0.2.2")))
    await end(first)
    assert not is_refused(await begin(crowded, from_address("192.0.2.1")))
    assert is_refused(await begin(crowded, from_address("192.0.2.1")))


@override_settings(BOLT={"MAX_CONNECTIONS_PER_IP": 1, "ALLOWED_ORIGINS": []})
@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [("/ws/nothing", [], 404), ("/ws/wait", [("origin", "https://evil.example")], 403)],
)
async def test_what_is_refused_for_another_reason_takes_no_place(
    crowded: Dispatcher, target: str, headers: list[tuple[str, str]], status: int
) -> None:
    for _ in range(2):
        websocket = await begin(crowded, from_address("192.0.2.1", target, *headers))
        assert rejection(websocket)[0] == status
    assert not is_refused(await begin(crowded, from_address("192.0.2.1")))


@override_settings(BOLT={"MAX_CONNECTIONS_PER_IP": 1, "TRUSTED_PROXIES": ["10.0.0.0/8"]})
async def test_behind_a_trusted_proxy_the_client_is_counted(crowded: Dispatcher) -> None:
    def through(proxy: str, client: str) -> MemoryConnection:
        return from_address(proxy, "/ws/wait", ("x-forwarded-for", client))

    assert not is_refused(await begin(crowded, through("10.0.0.1", "192.0.2.1")))
    assert not is_refused(await begin(crowded, through("10.0.0.1", "192.0.2.2")))
    assert is_refused(await begin(crowded, through("10.0.0.2", "192.0.2.1")))
    assert is_refused(await begin(crowded, through("10.0.0.2", "6.6.6.6, 192.0.2.2")))
    # A stranger cannot take another's places, nor have more by naming others.
    assert not is_refused(await begin(crowded, through("203.0.113.7", "192.0.2.9")))
    assert is_refused(await begin(crowded, through("203.0.113.7", "192.0.2.10")))
    assert not is_refused(await begin(crowded, through("10.0.0.1", "192.0.2.9")))


@override_settings(BOLT={"MAX_CONNECTIONS_PER_IP": 1})
async def test_clients_of_a_unix_socket_without_trust_are_one_address(crowded: Dispatcher) -> None:
    assert not is_refused(
        await begin(crowded, from_address(None, "/ws/wait", ("x-forwarded-for", "192.0.2.1")))
    )
    assert is_refused(await begin(crowded, from_address(None, "/ws/wait", ("x-forwarded-for", "192.0.2.2"))))


@override_settings(BOLT={"MAX_CONNECTIONS_PER_USER": 2})
async def test_too_many_connections_of_one_user_are_429(crowded: Dispatcher, calls: list[Any]) -> None:
    def of(name: str, address: str) -> MemoryConnection:
        return from_address(address, f"/ws/user?name={name}")

    first = await begin(crowded, of("ann", "192.0.2.1"))
    assert not is_refused(await begin(crowded, of("ann", "192.0.2.2")))
    assert is_refused(await begin(crowded, of("ann", "192.0.2.3")))
    assert not is_refused(await begin(crowded, of("ben", "192.0.2.1")))
    assert calls == ["ann", "ann", "ben"], "the handler of the refused one does not run"
    await end(first)
    assert not is_refused(await begin(crowded, of("ann", "192.0.2.3")))


@override_settings(BOLT={"MAX_CONNECTIONS_PER_USER": 1})
async def test_those_without_a_user_are_not_counted_as_one(crowded: Dispatcher) -> None:
    for target in ("/ws/user", "/ws/wait"):
        for _ in range(3):
            assert not is_refused(await begin(crowded, from_address("192.0.2.1", target)))


async def test_without_limits_there_are_none(crowded: Dispatcher) -> None:
    for _ in range(50):
        assert not is_refused(await begin(crowded, from_address("192.0.2.1", "/ws/user?name=ann")))


def test_apis_are_taken_one_by_one_or_together() -> None:
    first, second = BoltAPI(), BoltAPI(prefix="/other")

    @first.websocket("/a")
    @second.websocket("/a")
    async def handler(websocket: WebSocket) -> None:
        """Do nothing."""

    expected = ["/a", "/other/a"]
    assert [endpoint.path for endpoint in Dispatcher(first, second).endpoints] == expected
    assert [endpoint.path for endpoint in Dispatcher([first, second]).endpoints] == expected


def test_two_endpoints_on_one_path_are_refused_across_apis() -> None:
    first, second = BoltAPI(), BoltAPI()

    @first.websocket("/room/{a}")
    async def one(websocket: WebSocket, a: str) -> None:
        """Do nothing."""

    @second.websocket("/room/{b}")
    async def two(websocket: WebSocket, b: str) -> None:
        """Do nothing."""

    with pytest.raises(EndpointCollision, match=r"one \(.* and .*two \("):
        Dispatcher(first, second)
