"""The chat example over several worker processes, one of which is killed."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import expect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from .chat_page import enter_as, expect_online, messages, people, say
from .conftest import ChatSite, Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

HEAL_TIMEOUT = 25_000  # milliseconds; the example gives up a process after STALE + REFRESH seconds
Guests = dict[str, ClientConnection]


@pytest.fixture
def guests(chat: ChatSite) -> Iterator[Guests]:
    """Eight people in the coffee corner, by their names: as good as certainly, each worker has some of them."""
    address = f"ws://127.0.0.1:{chat.port}/ws/rooms/coffee?name=Guest%20"
    with ExitStack() as stack:
        # Without a limit to what waits to be read, so that a ping is always answered.
        yield {
            f"Guest {n}": stack.enter_context(connect(f"{address}{n}", max_queue=None)) for n in range(1, 9)
        }


def test_it_does_not_matter_to_which_worker_one_is_connected(visit: Visit, guests: Guests) -> None:
    ada = visit("/rooms/coffee/")
    enter_as(ada, "Ada")
    expect(people(ada)).to_have_text(["Ada", *guests])
    say(ada, "Hello all")
    for guest in guests.values():
        assert receive(guest, "message")["text"] == "Hello all"
    for name, guest in guests.items():
        guest.send(json.dumps({"text": f"I am {name}"}))
    for name in guests:
        expect(messages(ada).filter(has_text=f"I am {name}")).to_have_count(1)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_people_of_a_killed_worker_leave(chat: ChatSite, visit: Visit, guests: Guests) -> None:
    ada, lobby = visit("/rooms/coffee/"), visit("/")
    enter_as(ada, "Ada")
    expect(people(ada)).to_have_text(["Ada", *guests])
    os.kill(chat.workers()[0], signal.SIGKILL)
    stayed = [name for name, guest in guests.items() if is_open(guest)]
    expect(people(ada)).to_have_text(["Ada", *stayed], timeout=HEAL_TIMEOUT)
    expect_online(ada)
    card = lobby.get_by_role("link", name="Coffee corner")
    expect(card).to_contain_text(f"{1 + len(stayed)} here", timeout=HEAL_TIMEOUT)


def receive(guest: ClientConnection, kind: str) -> dict[str, object]:
    """Return the next event of a kind, and pass over others."""
    while True:
        event: dict[str, object] = json.loads(guest.recv(timeout=10))
        if event["type"] == kind:
            return event


def is_open(guest: ClientConnection) -> bool:
    """Return whether the server still answers."""
    try:
        return guest.ping().wait(10)
    except ConnectionClosed:
        return False
