"""The broker between the processes of one project on one machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from django_bolt.conf import BoltSettings
from django_bolt.exceptions import WrongState
from django_bolt.topics.brokers.base import Broker, BrokerStatus, Deliver
from django_bolt.topics.brokers.local.directory import RuntimeDirectory, project_key
from django_bolt.topics.brokers.local.receiving import Receiver, hide, make_name
from django_bolt.topics.brokers.local.sending import Sender
from django_bolt.topics.brokers.local.sockets import HEADER, largest_frame
from django_bolt.topics.process import call_at_exit
from django_bolt.topics.publication import Publication, encode

__all__ = ["LocalBroker"]


class LocalBroker(Broker):
    """Sends each publication to every serving process of the project; each keeps what it has subscribers for.

    ``local://`` is for the project in ``BASE_DIR``, ``local://name`` for all that say that name and have the
    same ``SECRET_KEY``. ``local:///run/mysite`` puts the sockets into that directory.

    A process takes part from the moment that its `start` has returned. One that was killed is noticed by the
    next publication.
    """

    def __init__(self, url: str, settings: BoltSettings) -> None:
        super().__init__(url, settings)
        name, base = parse_url(url)
        self._directory = RuntimeDirectory(project_key(name), base)
        self._sender = Sender(self._directory, settings, self.drops)
        self._receiver: Receiver | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writes_soon = False
        call_at_exit(self._sender.end)

    async def start(self, deliver: Deliver) -> None:
        if self._receiver is not None:
            raise WrongState("start", "stopped", "started")
        largest = largest_frame(self.settings.max_publication_size)
        receiver = Receiver(self._directory, largest, self.hand_out, self.drops)
        receiver.start()
        self.deliver = deliver
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._sender.own_name = receiver.name

    async def stop(self) -> None:
        if self._receiver is not None:
            self._receiver.stop()
            self._receiver = None
        self.deliver = None
        self._loop = None
        self.interests.clear()
        if self._sender.queued:
            await asyncio.to_thread(self._sender.flush)
        self._sender.close()
        self.drops.log_rest()

    def subscribe(self, name: str) -> None:
        self.interests.add(name)

    def unsubscribe(self, name: str) -> None:
        self.interests.discard(name)

    def publish_soon(self, publication: Publication) -> None:
        frame = self._frame(publication)
        if frame is None:
            return
        if self._loop is None or asyncio._get_running_loop() is not self._loop:
            self._sender.send_soon(frame)
            return
        # What one turn of the loop publishes is written at its end, by one system call for each process.
        self._sender.queue(frame)
        if not self._writes_soon:
            self._writes_soon = True
            self._loop.call_soon(self._write)

    def publish(self, publication: Publication) -> None:
        frame = self._frame(publication)
        if frame is not None:
            self._sender.send(frame)

    async def apublish(self, publication: Publication) -> None:
        frame = self._frame(publication)
        if frame is None:
            return
        if not self._sender.has_room(len(frame)):
            await asyncio.to_thread(self._sender.send, frame)
        elif blocked := self._sender.send_soon(frame):
            await asyncio.to_thread(self._sender.wait, blocked)

    def check(self) -> None:
        self._directory.make()
        try:
            hide(self._directory.path, make_name())
        except ValueError as error:
            raise self._directory.unavailable(str(error)) from error

    def status(self) -> BrokerStatus:
        return BrokerStatus(
            queued=self._sender.queued, subscriptions=len(self.interests), drops=self.drops.counts()
        )

    def _frame(self, publication: Publication) -> bytes | None:
        """Return what is sent; None if there is no process to send it to."""
        self.check_size(publication)
        if self._sender.is_alone():
            return None
        raw = encode(publication)
        return HEADER.pack(len(raw)) + raw

    def _write(self) -> None:
        self._writes_soon = False
        self._sender.write()

    def renew(self) -> None:
        if self._receiver is not None:
            self._receiver.abandon()
            self._receiver = None
        self._loop = None
        self._writes_soon = False
        super().renew()
        self._sender.renew()


def parse_url(url: str) -> tuple[str, Path | None]:
    """Return the name and the directory of ``local://name/directory``.

    Raises:
        ImproperlyConfigured: It holds something else.
    """
    rest = url.partition("://")[2]
    name, slash, path = rest.partition("/")
    if any(character in rest for character in "?#@:"):
        raise ImproperlyConfigured(
            "BOLT['BROKER'] is not of the form local://, local://name or local:///directory."
        )
    return name, Path(f"/{path}") if slash and path else None
