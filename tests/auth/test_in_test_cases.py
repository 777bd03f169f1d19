"""Authentication in tests as users write them: in the transaction of a ``TestCase``."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission, User
from django.test import TestCase

from django_bolt import BoltAPI, SyncWebSocket, WebSocket
from django_bolt.auth import BaseGuard, HasPermission, IsAuthenticated, SessionAuthentication
from django_bolt.testing import AsyncTestClient, TestClient

api = BoltAPI(auth=[SessionAuthentication])


class HasName(BaseGuard):
    def has_permission(self, websocket: WebSocket) -> bool:
        return bool(websocket.user.username)


@api.websocket("/async", guards=[IsAuthenticated, HasName])
async def asynchronous(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text((await websocket.auser()).get_username())
    await websocket.receive()


@api.websocket("/sync", guards=[HasPermission("auth.view_user")])
def synchronous(websocket: SyncWebSocket) -> None:
    websocket.accept()
    websocket.send_text(websocket.user.get_username())
    websocket.receive()


class StayingTrue(TestCase):
    def setUp(self) -> None:
        group = Group.objects.create(name="viewers")
        group.permissions.add(Permission.objects.get(codename="view_user"))
        self.user = User.objects.create_user("ann")
        self.user.groups.add(group)

    def test_handlers_of_both_kinds_know_the_user(self) -> None:
        with TestClient(api) as client:
            client.force_login(self.user)
            for path in ("/async", "/sync"):
                with client.websocket_connect(path) as ws:
                    assert ws.receive_text() == "ann"

    def test_what_would_be_committed_closes_connections(self) -> None:
        with TestClient(api) as client:
            client.force_login(self.user)
            with client.websocket_connect("/sync") as ws:
                ws.receive_text()
                with self.captureOnCommitCallbacks(execute=True):
                    self.user.groups.clear()
                assert (ws.wait_closed(), ws.close_reason) == (4403, "permission lost")
            with client.websocket_connect("/async") as ws:
                ws.receive_text()
                with self.captureOnCommitCallbacks(execute=True):
                    client.logout()
                assert (ws.wait_closed(), ws.close_reason) == (4401, "logged out")

    async def test_so_it_does_in_a_coroutine(self) -> None:
        async with AsyncTestClient(api) as client:
            await client.aforce_login(self.user)
            async with client.websocket_connect("/sync") as ws:
                await ws.receive_text()
                with self.captureOnCommitCallbacks(execute=True) as callbacks:
                    await self.user.groups.aclear()
                assert len(callbacks) == 1
                assert (await ws.wait_closed(), ws.close_reason) == (4403, "permission lost")
            async with client.websocket_connect("/async") as ws:
                await ws.receive_text()
                with self.captureOnCommitCallbacks(execute=True):
                    await client.alogout()
                assert (await ws.wait_closed(), ws.close_reason) == (4401, "logged out")
