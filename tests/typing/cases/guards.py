"""Authentications and guards are taken as instances or classes, and nothing else is."""

from __future__ import annotations

from typing import assert_type

from django_bolt import BoltAPI, WebSocket
from django_bolt.auth import (
    AllowAny,
    AuthResult,
    BaseAuthentication,
    BaseGuard,
    IsAuthenticated,
    JWTAuthentication,
)


class Named(BaseAuthentication):
    def authenticate(self, websocket: WebSocket) -> AuthResult | None:
        name = websocket.query_params.get("name")
        assert_type(name, str | None)
        return AuthResult(name) if name else None


class Morning(BaseGuard):
    detail = "Come in the morning."

    def has_permission(self, websocket: WebSocket) -> bool:
        return True


class Async(BaseGuard):
    async def has_permission(self, websocket: WebSocket) -> bool:
        return True


api = BoltAPI(auth=[JWTAuthentication, Named()], guards=[IsAuthenticated(), Morning])


@api.websocket("/", auth=[Named], guards=[AllowAny(), Async])
async def handler(websocket: WebSocket) -> None:
    await websocket.accept()


BoltAPI(guards=[JWTAuthentication])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
BoltAPI(auth=[IsAuthenticated()])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
