from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jwt
import pytest

from django_bolt import HTTPException, WebSocket
from django_bolt.auth import (
    AllowAny,
    AuthenticationFailed,
    AuthResult,
    BaseAuthentication,
    BaseGuard,
    IsAuthenticated,
    JWTAuthentication,
)
from django_bolt.auth.admission import admit
from tests.memory_connection import MemoryConnection


class Answers(BaseAuthentication):
    """Answer as told, and note that it was asked."""

    def __init__(self, answer: AuthResult | Exception | None, asked: list[Any] | None = None) -> None:
        self.answer = answer
        self.asked = [] if asked is None else asked

    def authenticate(self, websocket: WebSocket) -> AuthResult | None:
        self.asked.append(self)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Late(Answers):
    """Answer likewise, but later."""

    www_authenticate = 'Basic realm="late"'

    async def authenticate(self, websocket: WebSocket) -> AuthResult | None:  # type: ignore[override]
        return super().authenticate(websocket)


class Says(BaseGuard):
    """Say what it is told."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer

    def has_permission(self, websocket: WebSocket) -> bool:
        return self.answer


class SaysLater(BaseGuard):
    """Say yes to ann, but later."""

    async def has_permission(self, websocket: WebSocket) -> bool:
        return websocket.context["user_id"] == "ann"


async def enter(
    authentications: Sequence[BaseAuthentication] = (), guards: Sequence[BaseGuard] = ()
) -> dict[str, Any]:
    websocket = MemoryConnection()
    await admit(websocket, authentications, guards)
    return websocket.context


async def refusal(
    authentications: Sequence[BaseAuthentication] = (), guards: Sequence[BaseGuard] = ()
) -> HTTPException:
    with pytest.raises(HTTPException) as caught:
        await enter(authentications, guards)
    return caught.value


@pytest.mark.parametrize("kind", [Answers, Late])
async def test_the_context_says_who_and_by_what(kind: type[Answers]) -> None:
    context = await enter([kind(AuthResult("ann", {"role": "admin"}))], [IsAuthenticated()])
    assert context == {
        "user_id": "ann",
        "claims": {"role": "admin"},
        "permissions": None,
        "backend": kind.__name__,
    }


async def test_several_are_tried_in_order_until_one_knows_the_client() -> None:
    asked: list[Any] = []
    nobody, ann, bob = Answers(None, asked), Late(AuthResult("ann"), asked), Answers(AuthResult("bob"), asked)
    assert (await enter([nobody, ann, bob]))["user_id"] == "ann"
    assert asked == [nobody, ann]


async def test_wrong_credentials_are_401_and_none_of_another_kind_is_tried() -> None:
    asked: list[Any] = []
    error = await refusal([Late(AuthenticationFailed("Bad key.")), Answers(AuthResult("ann"), asked)])
    assert (error.status_code, error.detail) == (401, "Bad key.")
    assert error.headers == {"WWW-Authenticate": 'Basic realm="late", Bearer'}
    assert asked == []


async def test_what_one_finds_wrong_another_of_the_kind_may_find_right() -> None:
    wrong, session = Answers(AuthenticationFailed("Bad key.")), Late(AuthResult("bob"))
    assert (await enter([wrong, session, Answers(AuthResult("ann"))]))["user_id"] == "ann"
    error = await refusal([wrong, Answers(None), Answers(AuthenticationFailed("Expired.")), session])
    assert (error.status_code, error.detail) == (401, "Bad key.")


async def test_tokens_of_two_issuers_go_with_two_authentications() -> None:
    issuers = {"own": "a-key-that-is-longer-than-32-bytes", "other": "b-key-that-is-longer-than-32-bytes"}
    authentications = [JWTAuthentication(key, issuer=name) for name, key in issuers.items()]
    for name, key in issuers.items():
        token = jwt.encode({"sub": name, "iss": name}, key, "HS256")
        websocket = MemoryConnection(f"/ws?token={token}")
        await admit(websocket, authentications, [IsAuthenticated()])
        assert websocket.context["user_id"] == name
        assert websocket.identity is not None
        assert websocket.identity.authentication is authentications[list(issuers).index(name)]


async def test_each_challenge_is_named_once() -> None:
    error = await refusal([Answers(None), Answers(None)], [IsAuthenticated()])
    assert error.headers == {"WWW-Authenticate": "Bearer"}


async def test_an_anonymous_client_comes_in_where_no_guard_minds() -> None:
    assert await enter([Answers(None)]) == {}
    assert await enter([Answers(None)], [AllowAny()]) == {}
    assert await enter() == {}


async def test_a_guard_that_needs_an_identity_asks_for_one_where_it_could_be_given() -> None:
    with_authentication = await refusal([Answers(None)], [IsAuthenticated()])
    without = await refusal([], [IsAuthenticated()])
    assert (with_authentication.status_code, without.status_code) == (401, 403)
    assert without.headers == {}


async def test_another_guard_that_says_no_is_403() -> None:
    assert (await refusal([Answers(None)], [Says(False)])).status_code == 403
    assert (await refusal([Answers(AuthResult("ann"))], [Says(False)])).status_code == 403


async def test_every_guard_must_agree_also_one_that_waits() -> None:
    assert (await enter([Answers(AuthResult("ann"))], [Says(True), SaysLater()]))["user_id"] == "ann"
    assert (await refusal([Answers(AuthResult("bob"))], [Says(True), SaysLater()])).status_code == 403
    assert (await refusal([], [Says(True), Says(False)])).detail == "Permission denied."


async def test_another_exception_is_the_servers_fault() -> None:
    with pytest.raises(ZeroDivisionError):
        await enter([Answers(ZeroDivisionError())])
