from __future__ import annotations

import asyncio
import gc
import json
import logging
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from django_bolt import (
    BoltAPI,
    Depends,
    HTTPException,
    InvalidMessage,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from django_bolt.endpoints.dispatch import Dispatcher
from tests.memory_connection import MemoryConnection, serve

Events = list[str]


@pytest.fixture
def events() -> Events:
    return []


def make_generators(events: Events) -> dict[str, Callable[..., Any]]:
    """Make a generator of each kind that notes what it is thrown."""

    def in_thread() -> Iterator[str]:
        events.append("opened")
        try:
            yield "value"
        except BaseException as error:
            events.append(f"saw {type(error).__name__}")
            raise
        finally:
            events.append("closed")

    async def on_loop() -> AsyncIterator[str]:
        events.append("opened")
        try:
            yield "value"
        except BaseException as error:
            events.append(f"saw {type(error).__name__}")
            raise
        finally:
            await asyncio.sleep(0)
            events.append("closed")

    return {"thread": in_thread, "loop": on_loop}


@pytest.fixture(params=["thread", "loop"])
def generator(request: pytest.FixtureRequest, events: Events) -> Callable[..., Any]:
    """A generator that notes what it is thrown."""
    return make_generators(events)[request.param]


def ending_with(events: Events, generator: Callable[..., Any], end: Callable[[WebSocket], Any]) -> Dispatcher:
    """Serve a handler that accepts and then ends."""
    api = BoltAPI()

    @api.websocket("/")
    async def handler(websocket: WebSocket, value=Depends(generator)) -> None:  # type: ignore[no-untyped-def]
        await websocket.accept()
        events.append(f"got {value}")
        await end(websocket)

    return Dispatcher(api)


async def raise_(error: BaseException) -> None:
    raise error


# ── before the handler ───────────────────────────────────────────────────────────────────────────────────


async def test_dependencies_are_nested_and_shared(events: Events) -> None:
    async def get_base(websocket: WebSocket, page: int) -> int:
        events.append(f"base of {websocket.path}")
        return page

    def get_next(base: int = Depends(get_base)) -> int:
        return base + 1

    api = BoltAPI()

    @api.websocket("/")
    async def handler(websocket: WebSocket, base=Depends(get_base), following=Depends(get_next)) -> None:  # type: ignore[no-untyped-def]
        events.append(f"{base} {following}")
        await websocket.accept()

    await serve(Dispatcher(api), MemoryConnection("/?page=5"))
    assert events == ["base of /", "5 6"]
    await serve(Dispatcher(api), MemoryConnection("/?page=6"))
    assert events[2:] == ["base of /", "6 7"], "the cache is that of one connection"


async def test_dependencies_of_api_and_endpoint_run_before_those_of_the_handler(events: Events) -> None:
    def noting(name: str) -> Callable[[], None]:
        return lambda: events.append(name)

    api = BoltAPI(dependencies=[Depends(noting("api"))])
    own = noting("own")

    @api.websocket("/", dependencies=[Depends(noting("endpoint"))])
    async def handler(websocket: WebSocket, value: None = Depends(own)) -> None:
        await websocket.accept()

    await serve(Dispatcher(api), MemoryConnection("/"))
    assert events == ["api", "endpoint", "own"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (HTTPException(402, "Pay.", {"X-Price": "5"}), (402, {"detail": "Pay."})),
        (LookupError("secret"), (500, {"detail": "Internal Server Error"})),
        (WebSocketException(4001, "no"), (4001, "no")),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "coroutine", "generator", "async generator"])
async def test_a_dependency_may_refuse(events: Events, error: Exception, outcome: Any, kind: str) -> None:
    def plain() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    def generator() -> Iterator[None]:
        raise error
        yield

    async def async_generator() -> AsyncIterator[None]:
        raise error
        yield

    calls = {f.__name__.replace("_", " "): f for f in (plain, coroutine, generator, async_generator)}
    dispatcher = ending_with(events, calls[kind], raise_)
    websocket = await serve(dispatcher, MemoryConnection("/"))
    if websocket.rejected is None:
        assert websocket.closed == outcome
    else:
        status, _, body = websocket.rejected
        assert (status, json.loads(body)) == outcome
    assert events == []
    assert websocket.accepted is None


async def test_parameters_come_before_any_dependency(events: Events) -> None:
    def refuse() -> None:
        events.append("ran")

    def other(page: int) -> None:
        events.append("ran")

    api = BoltAPI(dependencies=[Depends(refuse), Depends(other)])

    @api.websocket("/")
    async def handler(websocket: WebSocket, size: int) -> None:
        events.append("ran")

    websocket = await serve(Dispatcher(api), MemoryConnection("/?page=x"))
    assert websocket.rejected is not None
    assert [error["parameter"] for error in json.loads(websocket.rejected[2])["errors"]] == ["page", "size"]
    assert events == []


async def test_what_was_read_of_the_request_is_released_before_the_handler() -> None:
    held: list[set[str]] = []

    async def read(websocket: WebSocket) -> AsyncIterator[None]:
        assert websocket.headers
        assert not websocket.cookies
        yield

    api = BoltAPI()

    @api.websocket("/")
    async def handler(websocket: WebSocket, value: None = Depends(read)) -> None:
        held.append({"_headers", "_cookies"} & set(vars(websocket)))

    await serve(Dispatcher(api), MemoryConnection("/"))
    assert held == [set()]


async def test_an_override_runs_from_the_next_connection_on(events: Events) -> None:
    def real() -> str:
        return "real"

    def fake(name: str) -> Iterator[str]:
        yield f"fake {name}"
        events.append("fake closed")

    api = BoltAPI()

    @api.websocket("/")
    async def handler(websocket: WebSocket, value: str = Depends(real)) -> None:
        events.append(value)
        await websocket.accept()

    dispatcher = Dispatcher(api)
    await serve(dispatcher, MemoryConnection("/"))
    api.dependency_overrides[real] = fake
    await serve(dispatcher, MemoryConnection("/?name=one"))
    api.dependency_overrides.clear()
    await serve(dispatcher, MemoryConnection("/"))
    assert events == ["real", "fake one", "fake closed", "real"]


# ── after the handler ────────────────────────────────────────────────────────────────────────────────────


async def test_the_rest_of_a_generator_runs_when_the_handler_returns(
    events: Events, generator: Callable[..., Any]
) -> None:
    async def end(websocket: WebSocket) -> None:
        events.append("returns")

    websocket = await serve(ending_with(events, generator, end), MemoryConnection("/"))
    assert events == ["opened", "got value", "returns", "closed"]
    assert websocket.closed == (1000, "")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (WebSocketException(4001, "no"), ("closed", (4001, "no"))),
        (LookupError("x"), ("failed", (1011, ""))),
        (InvalidMessage("x"), ("failed", (1007, "invalid message"))),
    ],
)
async def test_a_generator_sees_what_the_handler_raised(
    events: Events, generator: Callable[..., Any], error: Exception, outcome: tuple[str, Any]
) -> None:
    dispatcher = ending_with(events, generator, lambda _: raise_(error))
    websocket = await serve(dispatcher, MemoryConnection("/"))
    assert events[2:] == [f"saw {type(error).__name__}", "closed"]
    assert getattr(websocket, outcome[0]) == outcome[1]


async def test_a_generator_sees_that_the_client_left(events: Events, generator: Callable[..., Any]) -> None:
    dispatcher = ending_with(events, generator, lambda websocket: websocket.receive())
    await serve(dispatcher, MemoryConnection("/"))
    assert events[2:] == ["saw WebSocketDisconnect", "closed"]


async def test_a_generator_sees_a_cancellation(events: Events, generator: Callable[..., Any]) -> None:
    waits = asyncio.Event()

    async def end(websocket: WebSocket) -> None:
        waits.set()
        await asyncio.Event().wait()

    websocket = MemoryConnection("/")
    ending_with(events, generator, end)(websocket)
    await waits.wait()
    websocket.task.cancel()
    await asyncio.wait([websocket.task])
    assert websocket.task.cancelled()
    assert events[2:] == ["saw CancelledError", "closed"]
    assert websocket.failed == (1001, "")


async def test_a_cancellation_during_clean_up_does_not_keep_the_others_from_theirs(events: Events) -> None:
    cleaning = asyncio.Event()

    async def outer() -> AsyncIterator[None]:
        yield
        events.append("not reached: it is thrown the cancellation")

    async def watching() -> AsyncIterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    async def hanging() -> AsyncIterator[None]:
        yield
        cleaning.set()
        await asyncio.Event().wait()

    api = BoltAPI(dependencies=[Depends(outer), Depends(watching), Depends(hanging)])

    @api.websocket("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()

    websocket = MemoryConnection("/")
    Dispatcher(api)(websocket)
    await cleaning.wait()
    websocket.task.cancel()
    await asyncio.wait([websocket.task])
    assert websocket.task.cancelled()
    assert events == ["cancelled"]


async def test_generators_end_in_the_reverse_order_whatever_the_next_one_does(events: Events) -> None:
    def noting(name: str) -> Callable[[], Iterator[None]]:
        def generator() -> Iterator[None]:
            yield
            events.append(name)
            raise LookupError(name)

        return generator

    api = BoltAPI(dependencies=[Depends(noting(name)) for name in "abc"])

    @api.websocket("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()

    websocket = await serve(Dispatcher(api), MemoryConnection("/"))
    assert events == ["c", "b", "a"]
    assert websocket.closed == (1000, "")


async def test_a_dependency_that_fails_ends_those_before_it(
    events: Events, generator: Callable[..., Any]
) -> None:
    def refuse(value: str = Depends(generator)) -> None:
        raise HTTPException(402)

    websocket = await serve(ending_with(events, refuse, raise_), MemoryConnection("/"))
    assert events == ["opened", "saw HTTPException", "closed"]
    assert websocket.rejected is not None
    assert websocket.rejected[0] == 402


@pytest.mark.parametrize("kind", ["thread", "loop"])
async def test_an_error_in_clean_up_is_logged_once_and_changes_nothing(
    caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def in_thread() -> Iterator[None]:
        yield
        raise LookupError("in clean-up")

    async def on_loop() -> AsyncIterator[None]:
        yield
        raise LookupError("in clean-up")

    async def end(websocket: WebSocket) -> None:
        """Return."""

    generator = in_thread if kind == "thread" else on_loop
    websocket = await serve(ending_with([], generator, end), MemoryConnection("/"))
    assert websocket.closed == (1000, "")
    [record] = caplog.records
    assert (record.name, record.levelno) == ("django_bolt.endpoint", logging.ERROR)
    assert f"Connection 7: clean-up of {__name__}." in record.getMessage()
    assert f"{kind}" in record.getMessage()
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "in clean-up"


async def test_an_error_of_the_handler_is_not_masked_by_one_in_clean_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def generator() -> AsyncIterator[None]:
        try:
            yield
        finally:
            raise KeyError("in clean-up")

    dispatcher = ending_with([], generator, lambda _: raise_(WebSocketException(4001, "mine")))
    websocket = await serve(dispatcher, MemoryConnection("/"))
    assert websocket.closed == (4001, "mine")
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [KeyError]


@pytest.mark.parametrize("kind", ["thread", "loop"])
async def test_a_generator_that_catches_an_error_does_not_undo_it(
    caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def in_thread() -> Iterator[None]:
        try:
            yield
        except LookupError:
            return

    async def on_loop() -> AsyncIterator[None]:
        try:
            yield
        except LookupError:
            return

    generator = in_thread if kind == "thread" else on_loop
    dispatcher = ending_with([], generator, lambda _: raise_(LookupError("mine")))
    websocket = await serve(dispatcher, MemoryConnection("/"))
    assert websocket.failed == (1011, "")
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [LookupError]


async def test_a_generator_may_turn_an_error_into_a_close_code(caplog: pytest.LogCaptureFixture) -> None:
    async def generator() -> AsyncIterator[None]:
        try:
            yield
        except LookupError as error:
            raise WebSocketException(4004, "not found") from error

    dispatcher = ending_with([], generator, lambda _: raise_(LookupError("x")))
    websocket = await serve(dispatcher, MemoryConnection("/"))
    assert websocket.closed == (4004, "not found")
    assert caplog.records == []


async def test_a_generator_may_turn_an_error_into_a_response_before_accept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def generator() -> Iterator[None]:
        try:
            yield
        except LookupError:
            raise HTTPException(404, "No such room.") from None

    api = BoltAPI()

    @api.websocket("/{when}")
    async def handler(websocket: WebSocket, when: str, value: None = Depends(generator)) -> None:
        if when == "after":
            await websocket.accept()
        raise LookupError

    websocket = await serve(Dispatcher(api), MemoryConnection("/before"))
    assert websocket.rejected is not None
    assert (websocket.rejected[0], json.loads(websocket.rejected[2])) == (404, {"detail": "No such room."})
    websocket = await serve(Dispatcher(api), MemoryConnection("/after"))
    assert websocket.failed == (1011, "")
    kinds = [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert kinds == [HTTPException, LookupError], "after accept it is one more error"


async def test_a_send_in_clean_up_after_the_client_left_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def generator(websocket: WebSocket) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await websocket.send_text("bye")

    await serve(ending_with([], generator, lambda websocket: websocket.receive()), MemoryConnection("/"))
    assert caplog.records == []


async def remains_of(dispatcher: Dispatcher) -> WebSocket | None:
    """Return a connection that has ended, if it is still there without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        remains = weakref.ref(await serve(dispatcher, MemoryConnection("/")))
        for _ in range(1000):  # A thread may hold it for a moment.
            if remains() is None:
                break
            await asyncio.sleep(0.001)
        return remains()
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [None, LookupError, WebSocketDisconnect, WebSocketException])
@pytest.mark.parametrize("kind", ["thread", "loop", "plain", "translating"])
async def test_nothing_keeps_a_connection_that_has_ended(kind: str, error: Any) -> None:
    def plain(websocket: WebSocket) -> None:
        """Hold nothing."""

    async def translating(websocket: WebSocket) -> AsyncIterator[None]:
        try:
            yield
        except LookupError as found:
            raise WebSocketException(4000) from found

    async def end(websocket: WebSocket) -> None:
        if error is not None:
            raise error(4000) if error is WebSocketException else error()

    generators = {**make_generators([]), "plain": plain, "translating": translating}
    logging.disable()  # The records that pytest keeps hold tracebacks.
    try:
        assert await remains_of(ending_with([], generators[kind], end)) is None
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("kind", ["plain", "generator", "coroutine"])
async def test_nothing_keeps_a_connection_that_was_refused(kind: str) -> None:
    def plain(websocket: WebSocket) -> None:
        raise HTTPException(402)

    def generator(websocket: WebSocket) -> Iterator[None]:
        raise HTTPException(402)
        yield

    async def coroutine(websocket: WebSocket) -> None:
        raise HTTPException(402)

    call = {"plain": plain, "generator": generator, "coroutine": coroutine}[kind]
    assert await remains_of(ending_with([], call, raise_)) is None
