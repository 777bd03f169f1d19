from __future__ import annotations

from typing import Any

from django_bolt import BoltAPI, SyncWebSocket, WebSocket
from django_bolt.endpoints.sync_connection import SyncConnection
from django_bolt.testing import TestClient

api = BoltAPI()


@api.websocket("/{number}")
def show(websocket: SyncWebSocket, number: int) -> None:
    websocket.accept()
    assert isinstance(websocket.asynchronous, WebSocket)
    websocket.send_json([repr(websocket), websocket.endpoint.path, websocket.ready_state])


def test_it_says_which_connection_it_is() -> None:
    with TestClient(api) as client:
        shown, path, state = client.websocket_connect("/7").receive_json()
    assert shown.startswith("<SyncWebSocket ")
    assert shown.endswith(" /7 CONNECTED>")
    assert (path, state) == ("/{number}", 1)


def test_every_attribute_is_that_of_the_connection() -> None:
    """Of an object that gives its attributes' names as their values."""

    class Names:
        def __getattr__(self, name: str) -> Any:
            return name

    shown: Any = SyncConnection(Names())  # type: ignore[arg-type]
    names = {name for name, value in vars(SyncConnection).items() if isinstance(value, property)}
    assert {name: getattr(shown, name) for name in names - {"asynchronous"}} == {
        name: name for name in names - {"asynchronous"}
    }
    attributes = {name for name in dir(WebSocket) if isinstance(getattr(WebSocket, name), property)} - {"hub"}
    assert attributes <= names
