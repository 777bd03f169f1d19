from __future__ import annotations

import asyncio
import contextvars
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from django_bolt import UnsupportedData, WebSocketDisconnect
from tests.core.conftest import Serve
from tests.core.loopback import Peer, echo, settle, until


async def directly(awaitable: Any) -> Any:
    return await awaitable


async def in_a_task(awaitable: Any) -> Any:
    return await asyncio.create_task(awaitable)


async def by_wait_for(awaitable: Any) -> Any:
    return await asyncio.wait_for(awaitable, 5)


async def by_gather(awaitable: Any) -> Any:
    result, other = await asyncio.gather(awaitable, asyncio.sleep(0, "other"))
    assert other == "other"
    return result


async def in_a_task_group(awaitable: Any) -> Any:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(awaitable)
    return task.result()


async def in_a_timeout(awaitable: Any) -> Any:
    async with asyncio.timeout(5):
        return await awaitable


async def by_wait(awaitable: Any) -> Any:
    other = asyncio.create_task(asyncio.sleep(60))
    done, _ = await asyncio.wait({asyncio.create_task(awaitable), other}, return_when=asyncio.FIRST_COMPLETED)
    other.cancel()
    (task,) = done
    return task.result()


async def shielded(awaitable: Any) -> Any:
    return await asyncio.shield(awaitable)


async def as_completed(awaitable: Any) -> Any:
    (done,) = asyncio.as_completed([awaitable])
    return await done


async def through_await_method(awaitable: Any) -> Any:
    class Wrapped:
        def __await__(self) -> Any:
            return awaitable.__await__()

    return await Wrapped()


async def by_yield_from(awaitable: Any) -> Any:
    class Delegating:
        def __await__(self) -> Any:
            return (yield from awaitable.__await__())

    return await Delegating()


WAYS = [
    directly,
    in_a_task,
    by_wait_for,
    by_gather,
    in_a_task_group,
    in_a_timeout,
    by_wait,
    shielded,
    as_completed,
    through_await_method,
    by_yield_from,
]
Way = Callable[[Any], Awaitable[Any]]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


# ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────────────


@ways
async def test_a_message_that_comes_later(serve: Serve, way: Way) -> None:
    client, ws = await serve().open()
    receiving = asyncio.create_task(directly(way(ws.receive_text())))
    await settle()
    assert not receiving.done()
    await client.text("hello")
    assert await receiving == "hello"


@ways
async def test_a_message_that_is_here(serve: Serve, way: Way) -> None:
    client, ws = await serve().open()
    await client.text("one", "two", "three")
    assert await ws.receive() == "one"
    assert await way(ws.receive_text()) == "two"
    assert await way(ws.receive()) == "three"


@ways
async def test_the_end_of_the_connection(serve: Serve, way: Way) -> None:
    client, ws = await serve().open()
    receiving = asyncio.create_task(directly(way(ws.receive())))
    await settle()
    await client.end(4001)
    with pytest.raises((WebSocketDisconnect, ExceptionGroup)) as caught:
        await receiving
    error = caught.value.exceptions[0] if isinstance(caught.value, ExceptionGroup) else caught.value
    assert isinstance(error, WebSocketDisconnect)
    assert error.code == 4001


@ways
async def test_a_send(serve: Serve, way: Way) -> None:
    client, ws = await serve().open()
    assert await way(ws.send_text("a")) is None
    assert await way(ws.send_bytes(b"b")) is None
    assert [await client.message(), await client.message()] == ["a", b"b"]


@ways
async def test_an_own_send(serve: Serve, way: Way) -> None:
    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        await way(ws.send_text("a"))
        await way(ws.send(await way(ws.receive())))

    server = serve(handler)
    client = await server.client().open()
    assert await client.message() == "a"
    await client.text("b")
    assert await client.message() == "b"
    assert await server.ended() is None


async def test_sends_to_many_at_once_by_gather(serve: Serve) -> None:
    server = serve()
    pairs = [await server.open() for _ in range(10)]
    assert await asyncio.gather(*(ws.send_text("all") for _, ws in pairs)) == [None] * 10
    assert [await client.message() for client, _ in pairs] == ["all"] * 10


async def test_the_operations_are_awaitables_and_no_futures(serve: Serve) -> None:
    _, ws = await serve().open()
    for awaitable in (ws.receive(), ws.send_text(""), ws.receive_decoded(str), ws.close()):
        assert inspect.isawaitable(awaitable)
        assert asyncio.iscoroutine(awaitable)
        assert not asyncio.isfuture(awaitable)


async def test_an_awaitable_that_is_never_awaited_takes_no_message_and_does_not_warn(serve: Serve) -> None:
    client, ws = await serve().open()
    await client.text("kept")
    ws.receive()
    ws.receive().close()
    assert await ws.receive() == "kept"


async def test_a_task_that_waits_can_be_shown(serve: Serve) -> None:
    client, ws = await serve().open()
    task = asyncio.create_task(ws.receive())
    await settle()
    assert "pending" in repr(task)
    assert isinstance(task.get_stack(), list)
    assert any(shown is task for shown in asyncio.all_tasks())
    await client.text("shown")
    assert await task == "shown"


async def test_in_debug_mode(serve: Serve) -> None:
    asyncio.get_running_loop().set_debug(True)
    client, ws = await serve().open()
    receiving = asyncio.create_task(directly(ws.receive()))
    await settle()
    assert repr(receiving)
    await client.text("a")
    assert await asyncio.wait_for(receiving, 5) == "a"


# ── losing nothing ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [1, 5])
async def test_a_timeout_loses_no_message(serve: Serve, count: int) -> None:
    client, ws = await serve().open()
    for _ in range(count):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ws.receive(), 0.001)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await ws.receive()
    await client.text("kept")
    assert await ws.receive() == "kept"


async def test_no_message_is_lost_when_timeouts_and_messages_meet(serve: Serve) -> None:
    client, ws = await serve().open()
    count = 300

    async def send() -> None:
        for number in range(count):
            await client.text(str(number))
            await asyncio.sleep(0.0005)

    sending = asyncio.create_task(send())
    received: list[str | bytes] = []
    while len(received) < count:
        try:
            async with asyncio.timeout(0.0005):
                received.append(await ws.receive())
        except TimeoutError:
            assert not (sending.done() and not received)
    assert received == [str(number) for number in range(count)]
    await sending


async def test_no_message_is_lost_when_wait_for_and_messages_meet(serve: Serve) -> None:
    client, ws = await serve().open()
    count = 300

    async def send() -> None:
        for number in range(count):
            await client.text(str(number))
            await asyncio.sleep(0.0005)

    sending = asyncio.create_task(send())
    received: list[str | bytes] = []
    while len(received) < count:
        try:
            received.append(await asyncio.wait_for(ws.receive(), 0.0005))
        except TimeoutError:
            continue
    assert received == [str(number) for number in range(count)]
    await sending


async def test_cancelled_before_it_begins(serve: Serve) -> None:
    client, ws = await serve().open()
    await client.text("one", "two")
    assert await ws.receive() == "one"
    task = asyncio.create_task(ws.receive())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ws.receive() == "two"


async def test_cancelled_while_it_waits(serve: Serve) -> None:
    client, ws = await serve().open()
    task = asyncio.create_task(ws.receive())
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await client.text("kept")
    assert await ws.receive() == "kept"


async def test_cancelled_in_the_turn_in_which_the_message_comes(serve: Serve) -> None:
    client, ws = await serve().open()
    for number in range(50):
        task = asyncio.create_task(ws.receive())
        await settle(1)
        client.connection.send(client.protocol.text(str(number)))
        if number % 2:
            await asyncio.sleep(0)
        task.cancel()
        try:
            received = await task
        except asyncio.CancelledError:
            received = await ws.receive()
        assert received == str(number)


async def test_cancelled_by_another_handler_in_the_same_batch(serve: Serve) -> None:
    """Both messages are here when the batch begins; the first handler cancels the second one's receive."""
    server = serve()
    (first, first_ws), (second, second_ws) = await server.open(), await server.open()
    waiting = asyncio.create_task(second_ws.receive())

    async def cancel_the_other() -> None:
        await first_ws.receive()
        waiting.cancel()

    cancelling = asyncio.create_task(cancel_the_other())
    await settle()
    first.connection.send(first.protocol.text("go"))
    second.connection.send(second.protocol.text("kept"))
    await cancelling
    received = await asyncio.gather(waiting, return_exceptions=True)
    if isinstance(received[0], asyncio.CancelledError):
        assert await second_ws.receive() == "kept"
    else:
        assert received == ["kept"]


async def test_a_message_stays_when_the_woken_task_is_cancelled_before_its_step(serve: Serve) -> None:
    """By hand, as a task does it: woken, and thrown into instead of stepped."""
    client, ws = await serve().open()
    receiving = ws.receive()
    woken: list[Any] = []
    waited_for = receiving.send(None)
    waited_for.add_done_callback(woken.append)
    await client.text("kept")
    await until(lambda: woken, "the wake-up")
    assert waited_for.done()
    assert not waited_for.cancel()
    with pytest.raises(asyncio.CancelledError):
        receiving.throw(asyncio.CancelledError())
    assert await ws.receive() == "kept"


async def test_the_handler_can_be_cancelled_in_a_receive(serve: Serve) -> None:
    seen: list[str] = []

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        try:
            await ws.receive()
        except asyncio.CancelledError:
            seen.append("cancelled")
            await ws.send_text("last words")
            raise

    server = serve(handler)
    client = await server.client().open()
    (task,) = server.tasks
    task.cancel()
    assert await client.message() == "last words"
    assert isinstance(await server.ended(), asyncio.CancelledError)
    assert seen == ["cancelled"]
    assert task.cancelled()


async def test_a_cancellation_that_is_caught_is_over(serve: Serve) -> None:
    client, ws = await serve().open()

    async def stubborn() -> Any:
        try:
            await ws.receive()
        except asyncio.CancelledError:
            return await ws.receive()

    task = asyncio.create_task(stubborn())
    await settle()
    task.cancel()
    await settle()
    assert not task.done()
    await client.text("still here")
    assert await task == "still here"


async def test_the_message_of_a_cancellation_reaches_the_task(serve: Serve) -> None:
    """As with a Future; libraries tell their cancellations from others by it."""
    _, ws = await serve().open()
    task = asyncio.create_task(directly(ws.receive()))
    await settle()
    task.cancel("because")
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert caught.value.args == ("because",)


async def test_a_task_is_cancelled_twice(serve: Serve) -> None:
    client, ws = await serve().open()
    task = asyncio.create_task(directly(ws.receive()))
    await settle()
    assert task.cancel()
    assert task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await client.text("kept")
    assert await ws.receive() == "kept"


# ── misuse ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_receive_at_a_time_raises(serve: Serve) -> None:
    client, ws = await serve().open()
    first = asyncio.create_task(ws.receive())
    await settle()
    for second in (ws.receive(), ws.receive_text(), ws.receive_bytes(), ws.receive_decoded(str)):
        with pytest.raises(RuntimeError, match="another receive"):
            await second
    with pytest.raises(RuntimeError, match="another receive"):
        await anext(ws.iter_text())
    await client.text("for the first")
    assert await first == "for the first"
    await client.text("after it")
    assert await ws.receive() == "after it"


async def test_a_receive_is_awaited_once(serve: Serve) -> None:
    client, ws = await serve().open()
    await client.text("one", "two")
    receiving = ws.receive()
    assert await receiving == "one"
    with pytest.raises(RuntimeError, match="already awaited"):
        await receiving
    assert await ws.receive() == "two"


async def test_a_receive_that_waits_cannot_be_stepped_by_another_task(serve: Serve) -> None:
    """Were it to yield itself again, the second task could not register its wake-up, and would hang."""
    client, ws = await serve().open()
    receiving = ws.receive()
    first = asyncio.create_task(directly(receiving))
    await settle()
    with pytest.raises(RuntimeError):
        receiving.send(None)
    await client.text("for the first")
    assert await first == "for the first"


async def test_receiving_before_accept(serve: Serve) -> None:
    async def handler(ws: Peer) -> None:
        with pytest.raises(RuntimeError, match="CONNECTING"):
            await ws.receive()
        await ws.accept_handshake(None, [])

    server = serve(handler)
    await server.client().open()
    assert await server.ended() is None


# ── by hand ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_step_returns_by_stop_iteration(serve: Serve) -> None:
    client, ws = await serve().open()
    await client.text("first", "a", "b", "c")
    assert await ws.receive() == "first"
    for receiving, advance in (
        (ws.receive(), lambda awaitable: awaitable.send(None)),
        (ws.receive(), lambda awaitable: next(awaitable.__await__())),
        (ws.receive(), lambda awaitable: awaitable.__next__()),
    ):
        with pytest.raises(StopIteration) as caught:
            advance(receiving)
        assert caught.value.value in ("a", "b", "c")


async def test_throw_raises_what_is_thrown(serve: Serve) -> None:
    class CustomError(Exception):
        pass

    _, ws = await serve().open()
    error = CustomError("x")
    with pytest.raises(CustomError) as caught:
        ws.receive().throw(error)
    assert caught.value is error
    receiving = ws.receive()
    receiving.send(None)
    with pytest.raises(CustomError):
        receiving.throw(CustomError)
    with pytest.raises(TypeError):
        ws.receive().throw("no exception")
    with pytest.raises(CustomError):
        ws.send_text("").throw(error)


async def test_close_gives_the_place_free(serve: Serve) -> None:
    client, ws = await serve().open()
    receiving = ws.receive()
    receiving.send(None)
    receiving.close()
    receiving.close()
    await client.text("for the next")
    assert await ws.receive() == "for the next"
    with pytest.raises(RuntimeError):
        await receiving


async def test_done_callback_of_a_waiting_receive(serve: Serve) -> None:
    client, ws = await serve().open()
    receiving = ws.receive()
    waited_for = receiving.send(None)
    assert waited_for.get_loop() is asyncio.get_running_loop()
    assert not waited_for.done()
    called: list[Any] = []
    waited_for.add_done_callback(called.append)
    assert waited_for.remove_done_callback(called.append) == 1
    assert waited_for.remove_done_callback(called.append) == 0
    waited_for.add_done_callback(called.append)
    await client.text("a")
    await until(lambda: called, "the callback")
    assert called == [waited_for]
    assert waited_for.result() is None
    with pytest.raises(StopIteration):
        receiving.send(None)


# ── context ───────────────────────────────────────────────────────────────────────────────────────────────────────

number = contextvars.ContextVar("number", default=0)


async def test_each_task_keeps_its_context_and_identity_across_a_wake_up(serve: Serve) -> None:
    seen: dict[int, list[Any]] = {}

    async def handler(ws: Peer) -> None:
        number.set(ws.id)
        await ws.accept_handshake(None, [])
        async for message in ws.iter_text():
            seen.setdefault(ws.id, []).append((number.get(), asyncio.current_task() in server.tasks))
            number.set(ws.id)
            await ws.send_text(message)

    server = serve(handler)
    clients = [await server.client().open() for _ in range(20)]
    for _ in range(3):
        for client in clients:
            client.connection.send(client.protocol.text("x"))
        for client in clients:
            assert await client.message() == "x"
    assert len(seen) == 20
    assert all(entries == [(ident, True)] * 3 for ident, entries in seen.items())
    assert number.get() == 0


async def test_a_wake_up_runs_no_task_inside_another(serve: Serve) -> None:
    """A handler's send wakes nobody inside of itself, though both ends are in one process."""
    running: list[str] = []

    async def handler(ws: Peer) -> None:
        await ws.accept_handshake(None, [])
        async for message in ws.iter_text():
            assert not running
            running.append("in")
            await ws.send_text(message)
            assert running == ["in"]
            running.clear()

    server = serve(handler)
    clients = [await server.client().open() for _ in range(5)]
    for client in clients:
        client.connection.send(client.protocol.text("x") * 3)
    for client in clients:
        assert [await client.message() for _ in range(3)] == ["x"] * 3


async def test_a_blocking_wait_in_another_thread_is_no_part_of_it(serve: Serve) -> None:
    client, ws = await serve().open()
    await asyncio.to_thread(lambda: None)
    await client.text("a")
    assert await ws.receive() == "a"


# ── decoding ──────────────────────────────────────────────────────────────────────────────────────────────────────

AWKWARD: list[Any] = [
    None,
    (),
    (1,),
    (1, 2),
    ((),),
    StopIteration(1),
    StopIteration(),
    ValueError("a value"),
    StopAsyncIteration(2),
    asyncio.CancelledError(),
    GeneratorExit(),
    ValueError,
    [1, (2,)],
    NotImplemented,
]


@ways
async def test_any_decoded_value_arrives_as_it_is(serve: Serve, way: Way) -> None:
    client, ws = await serve().open()
    for value in AWKWARD:

        def decode(_: str | bytes, value: Any = value) -> Any:
            return value

        later = asyncio.create_task(directly(way(ws.receive_decoded(decode))))
        await settle()
        await client.text("a", "b", "c")
        assert await later is value
        assert await way(ws.receive_decoded(decode)) is value
        assert await anext(ws.iter_decoded(decode)) is value


async def test_the_decoder_gets_text_and_bytes(serve: Serve) -> None:
    client, ws = await serve().open()
    await client.send(client.protocol.text("é"), client.protocol.binary(b"\xff"))
    assert await ws.receive_decoded(lambda message: ("got", message)) == ("got", "é")
    assert await ws.receive_decoded(lambda message: ("got", message)) == ("got", b"\xff")


async def test_an_exception_of_the_decoder_is_raised_and_the_message_consumed(serve: Serve) -> None:
    def fail(message: str | bytes) -> None:
        raise ValueError(message)

    client, ws = await serve().open()
    for wait in (True, False):
        receiving = asyncio.create_task(directly(ws.receive_decoded(fail)))
        if wait:
            await settle()
        await client.text("bad", "good")
        with pytest.raises(ValueError, match="bad"):
            await receiving
        assert await ws.receive() == "good"


async def test_stop_iteration_of_the_decoder_is_no_result(serve: Serve) -> None:
    """As in a generator (PEP 479): it must not end the receive as if it were its value."""

    def stop(message: str | bytes) -> None:
        raise StopIteration("not a result")

    client, ws = await serve().open()
    await client.text("a", "b")
    with pytest.raises(RuntimeError):
        await ws.receive_decoded(stop)
    with pytest.raises(RuntimeError):
        await in_a_task(ws.receive_decoded(stop))


async def test_a_message_of_the_other_kind_is_consumed(serve: Serve) -> None:
    client, ws = await serve().open()
    await client.send(client.protocol.binary(b"a"), client.protocol.text("b"), client.protocol.text("c"))
    with pytest.raises(UnsupportedData) as caught:
        await ws.receive_text()
    assert (caught.value.expected, caught.value.got) == ("text", "binary")
    with pytest.raises(UnsupportedData) as caught:
        await ws.receive_bytes()
    assert (caught.value.expected, caught.value.got) == ("binary", "text")
    assert await ws.receive_text() == "c"


# ── iterating ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_iteration_can_be_left_and_taken_up_again(serve: Serve) -> None:
    client, ws = await serve().open()
    await client.text(*map(str, range(6)))
    received = []
    async for message in ws.iter_text():
        received.append(message)
        if len(received) == 2:
            break
    iterator = ws.iter_text()
    received += [await anext(iterator), await anext(iterator)]
    async for message in ws:
        received.append(str(message))
        if len(received) == 6:
            break
    assert received == list(map(str, range(6)))


async def exhaust(messages: Any) -> None:
    async for _ in messages:
        pytest.fail("no message was sent")


async def test_every_iteration_raises_at_the_end(serve: Serve) -> None:
    server = serve()
    for name in ("iter_text", "iter_bytes", "__aiter__"):
        client, ws = await server.open()
        await client.end(1001)
        with pytest.raises(WebSocketDisconnect) as caught:
            await exhaust(getattr(ws, name)())
        assert caught.value.code == 1001
        with pytest.raises(WebSocketDisconnect):
            await anext(getattr(ws, name)(), "default")


async def test_an_iterator_goes_on_after_a_message_of_the_other_kind(serve: Serve) -> None:
    client, ws = await serve().open()
    await client.send(client.protocol.binary(b"a"), client.protocol.text("b"))
    iterator = ws.iter_text()
    with pytest.raises(UnsupportedData):
        await anext(iterator)
    assert await anext(iterator) == "b"


async def test_a_step_of_an_iterator_that_is_kept_is_not_used_again(serve: Serve) -> None:
    client, ws = await serve().open()
    await client.text("a", "b")
    iterator = ws.iter_text()
    step = anext(iterator)
    assert await step == "a"
    assert await anext(iterator) == "b"
    with pytest.raises(RuntimeError):
        await step


@ways
async def test_a_step_of_an_iterator(serve: Serve, way: Way) -> None:
    client, ws = await serve().open()
    iterator = ws.iter_text()
    for text in ("a", "b", "c"):
        receiving = asyncio.create_task(directly(way(anext(iterator))))
        await settle()
        await client.text(text)
        assert await receiving == text


async def test_a_cancelled_iteration_loses_no_message(serve: Serve) -> None:
    client, ws = await serve().open()
    iterator = ws.iter_text()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await anext(iterator)
    await client.text("kept")
    assert await anext(iterator) == "kept"


# ── later versions of Python ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
async def test_eager_tasks(serve: Serve) -> None:
    loop = asyncio.get_running_loop()
    if type(loop).__module__.startswith("uvloop") and sys.version_info >= (3, 13):
        pytest.skip("uvloop calls the factory with an argument that asyncio's takes only from 3.13.3 on")
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    try:
        server = serve(echo)
        client = await server.client().open()
        await client.text("a", "b")
        assert [await client.message(), await client.message()] == ["a", "b"]
        (ws,) = server.peers
        with pytest.raises(RuntimeError, match="another receive"):
            await asyncio.create_task(ws.receive())
        await client.text("c")
        assert await client.message() == "c"
        await client.end()
        assert isinstance(await server.ended(), WebSocketDisconnect)
    finally:
        loop.set_task_factory(None)
