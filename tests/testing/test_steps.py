"""What is decided without I/O; what sessions make of it is tested with them."""

from __future__ import annotations

from typing import Any

import pytest

from django_bolt import WebSocketDisconnect, _core
from django_bolt.testing.connection import ClientConnection
from django_bolt.testing.handlers import ObservedDispatcher
from django_bolt.testing.steps import SessionSteps, Steps, Until, Written
from tests.testing.sample_api import api


@pytest.fixture
def steps() -> SessionSteps:
    """The steps of a session whose opening handshake no server has seen."""
    connection = ClientConnection("/echo", _core.ClientProtocol("/echo", "testserver"))
    return SessionSteps(connection, ObservedDispatcher([api]), timeout=3, raises_errors=True)


def finish(steps: Steps[Any], came: bool = True) -> Any:
    """Take the last step, and return what comes of it."""
    with pytest.raises(StopIteration) as end:
        steps.send(came)
    return end.value.value


def test_receiving_waits_for_a_message_or_the_end(steps: SessionSteps) -> None:
    receiving = steps.receive("a message", None)
    step = next(receiving)
    assert isinstance(step, Until)
    assert step.timeout == 3
    assert not step.has_come()
    steps.connection.messages.append("text")
    assert step.has_come()
    steps.connection.receive_eof()
    assert finish(receiving) == "text"
    with pytest.raises(WebSocketDisconnect):
        drive(steps.receive("a message", None))


def drive(steps: Steps[Any]) -> None:
    """Take steps, of which all come in time."""
    next(steps)
    while True:
        steps.send(True)


def test_sending_waits_until_it_is_written(steps: SessionSteps) -> None:
    sending = steps.send("text")
    assert next(sending) == Written(3)
    assert b"GET /echo" in steps.connection.data_to_send()
    assert finish(sending) is None


def test_what_is_waited_for_may_be_another_time(steps: SessionSteps) -> None:
    receiving = steps.receive("a message", 0.5)
    step = next(receiving)
    assert isinstance(step, Until)
    assert step.timeout == 0.5
    with pytest.raises(TimeoutError) as caught:
        receiving.send(False)
    assert str(caught.value) == "Waited 0.5 s for a message, in vain: the server has not taken it yet"


def test_a_server_that_breaks_the_protocol_is_told(steps: SessionSteps) -> None:
    steps.connection.messages.append("before")
    steps.connection.violation = "reserved opcode 3 (1002)"
    steps.connection.receive_eof()
    receiving = steps.receive("a message", None)
    next(receiving)
    assert finish(receiving) == "before"
    for act in (steps.receive("a message", None), steps.send("x"), steps.open()):
        with pytest.raises(AssertionError, match=r"broke the protocol: reserved opcode 3 \(1002\)"):
            drive(act)


def test_an_end_before_an_answer(steps: SessionSteps) -> None:
    steps.connection.receive_eof()
    with pytest.raises(WebSocketDisconnect) as caught:
        drive(steps.open())
    assert caught.value.code == 1006
