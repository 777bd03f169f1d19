"""The snippets of the specification, section by section, as they stand there.

A snippet that is a whole endpoint is copied with its decorator. One that is a few lines of a handler stands
in a handler of its own, between the comments ``snippet`` and ``end``. Sections that use a path twice have an
API with a prefix of their own.
"""

# The names and the shape are those of the specification.
# ruff: noqa: F811

from django_bolt import BoltAPI, CloseCode, WebSocket, WebSocketDisconnect, WebSocketState
from django_bolt.auth import IsAuthenticated, JWTAuthentication

# ── Basic WebSocket endpoint ─────────────────────────────────────────────────────────────────────────────

api = BoltAPI()


@api.websocket("/ws/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(f"Echo: {message}")


# ── WebSocket lifecycle ──────────────────────────────────────────────────────────────────────────────────


@api.websocket("/ws/chat")
async def chat(websocket: WebSocket):
    # 1. Accept the connection
    await websocket.accept()

    try:
        # 2. Communication loop
        while True:
            message = await websocket.receive_text()
            await websocket.send_text(f"You said: {message}")
    except WebSocketDisconnect:
        # 3. Client disconnected
        pass


# ── Sending messages ─────────────────────────────────────────────────────────────────────────────────────


@api.websocket("/ws/send")
async def send(websocket: WebSocket):
    await websocket.accept()
    # snippets
    await websocket.send_text("Hello, World!")

    await websocket.send_bytes(b"\x00\x01\x02\x03")

    await websocket.send_json({"type": "message", "data": "Hello"})
    # end


# ── Receiving messages ───────────────────────────────────────────────────────────────────────────────────


@api.websocket("/ws/receive/text")
async def receive_text(websocket: WebSocket):
    await websocket.accept()
    # snippet
    # Single message
    message = await websocket.receive_text()

    # Iterate over messages
    async for message in websocket.iter_text():
        print(f"Received: {message}")
    # end


@api.websocket("/ws/receive/bytes")
async def receive_bytes(websocket: WebSocket):
    await websocket.accept()
    # snippet
    data = await websocket.receive_bytes()

    async for data in websocket.iter_bytes():
        print(f"Received {len(data)} bytes")
    # end


@api.websocket("/ws/receive/json")
async def receive_json(websocket: WebSocket):
    await websocket.accept()
    # snippet
    data = await websocket.receive_json()

    async for data in websocket.iter_json():
        print(f"Received: {data}")
    # end


# ── Path parameters ──────────────────────────────────────────────────────────────────────────────────────


@api.websocket("/ws/room/{room_id}")
async def room(websocket: WebSocket, room_id: str):
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(f"[{room_id}] {message}")


# ── Query parameters ─────────────────────────────────────────────────────────────────────────────────────


@api.websocket("/ws/connect")
async def connect(websocket: WebSocket, token: str | None = None):
    if token != "secret":
        await websocket.close(code=4001, reason="Invalid token")
        return

    await websocket.accept()
    # ...


# ── Closing connections ──────────────────────────────────────────────────────────────────────────────────


@api.websocket("/ws/close/plain")
async def close_plain(websocket: WebSocket):
    await websocket.accept()
    # snippet
    await websocket.close()
    # end


@api.websocket("/ws/close/with-reason")
async def close_with_reason(websocket: WebSocket):
    await websocket.accept()
    # snippet
    # With custom close code and reason
    await websocket.close(code=1000, reason="Normal closure")
    # end


@api.websocket("/ws")
async def handler(websocket: WebSocket):
    await websocket.accept()
    try:
        async for message in websocket.iter_text():
            await websocket.send_text(message)
    except WebSocketDisconnect:
        print("Client disconnected")


@api.websocket("/ws/receive-loop")
async def handler_with_receive(websocket: WebSocket):
    """The same by a loop of `receive_text`: "Client disconnected" must be printed in either style."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        print("Client disconnected")


# ── Close codes ──────────────────────────────────────────────────────────────────────────────────────────


@api.websocket("/ws/close/normal")
async def close_normal(websocket: WebSocket):
    await websocket.accept()
    # snippet
    await websocket.close(code=CloseCode.NORMAL_CLOSURE)
    # end


@api.websocket("/ws/close/with/{name}")
async def close_with(websocket: WebSocket, name: str):
    """Close with any of the registered codes."""
    await websocket.accept()
    await websocket.close(code=CloseCode[name], reason=name)


# ── Authentication ───────────────────────────────────────────────────────────────────────────────────────


@api.websocket(
    "/ws/protected",
    auth=[JWTAuthentication()],
    guards=[IsAuthenticated()]
)  # fmt: skip
async def protected(websocket: WebSocket):
    user_id = websocket.context.get("user_id")
    await websocket.accept()
    await websocket.send_text(f"Welcome, user {user_id}")


# ── WebSocket state ──────────────────────────────────────────────────────────────────────────────────────


@api.websocket("/ws/state")
async def state(websocket: WebSocket):
    before = websocket.state
    await websocket.accept()
    # snippet
    if websocket.state == WebSocketState.CONNECTED:
        await websocket.send_text("Still connected")
    # end
    await websocket.send_json([before.name, websocket.state.name])
    await websocket.close()
    print(f"State after close: {websocket.state.name}")


# ── Broadcast to all clients ─────────────────────────────────────────────────────────────────────────────

connected_clients = set()


@api.websocket("/ws/broadcast")
async def broadcast(websocket: WebSocket):
    await websocket.accept()
    connected_clients.add(websocket)

    try:
        async for message in websocket.iter_text():
            # Broadcast to all clients
            for client in connected_clients:
                await client.send_text(message)
    finally:
        connected_clients.discard(websocket)


# ── Room-based chat ──────────────────────────────────────────────────────────────────────────────────────

specification_api = api
api = room_chat_api = BoltAPI(prefix="/room-chat")

rooms = {}  # room_id -> set of websockets


@api.websocket("/ws/room/{room_id}")
async def room(websocket: WebSocket, room_id: str):
    await websocket.accept()

    if room_id not in rooms:
        rooms[room_id] = set()
    rooms[room_id].add(websocket)

    try:
        async for message in websocket.iter_text():
            for client in rooms[room_id]:
                await client.send_text(f"[{room_id}] {message}")
    finally:
        rooms[room_id].discard(websocket)
