"""A thread that publishes for a whole process: from any thread, with or without an event loop."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future, InvalidStateError

from redis.exceptions import RedisError

from django_bolt.conf import BoltSettings
from django_bolt.exceptions import BrokerUnavailable
from django_bolt.topics.brokers.drops import DropReason, Drops
from django_bolt.topics.brokers.outage import Backoff, Outage
from django_bolt.topics.brokers.redis.exchange import Entry, Exchange, Outcome, Result
from django_bolt.topics.brokers.redis.servers import Servers

__all__ = ["Sender"]

logger = logging.getLogger("django_bolt.topics")

BATCH = 256
"""Publications sent at once."""
BATCH_BYTES = 1_048_576
OVERHEAD = 200
"""Bytes that an entry takes in memory besides its payload."""
LINGER = 10.0
"""Seconds that the thread waits for work before it ends. The connections stay."""
REASONS = {
    Outcome.REFUSED: DropReason.UNAVAILABLE,
    Outcome.UNSENT: DropReason.UNAVAILABLE,
    Outcome.UNCONFIRMED: DropReason.UNCONFIRMED,
}
MEANINGS = {
    Outcome.REFUSED: "it refuses",
    Outcome.UNSENT: "not published",
    Outcome.UNCONFIRMED: "it may or may not be published",
}


class Sender:
    """Queues publications, and publishes them in the order of the calls over one connection to each server.

    What is queued while a batch is on its way makes the next batch, so that a busy process waits for the server
    once for hundreds of publications.

    Args:
        servers: Where to.
        settings: Bounds, and what to do in an outage.
        outage: Is told when a server is lost.
        drops: Counts what nobody got.
    """

    def __init__(self, servers: Servers, settings: BoltSettings, outage: Outage, drops: Drops) -> None:
        self._servers = servers
        self._limit = settings.broker_queue_limit
        self._timeout = settings.broker_timeout
        self._keeps = settings.broker_outage == "queue"
        self._outage = outage
        self._drops = drops
        self._exchange = Exchange(servers, outage)
        self._begin()

    def _begin(self) -> None:
        self._is_stopping = False
        self._changed = threading.Condition()
        self._queue: deque[Entry] = deque()
        self._queued = 0
        self._under_way = 0
        self._thread: threading.Thread | None = None
        self._is_down = False
        self._busy_threads: set[int] = set()

    def renew(self) -> None:
        """Begin anew in the child after a fork: queue, thread and connections are the parent's."""
        self._exchange.close()
        self._exchange = Exchange(self._servers, self._outage)
        self._begin()

    @property
    def queued(self) -> int:
        """Bytes that wait."""
        return self._queued

    def has_room(self, size: int) -> bool:
        """Whether the queue has room for a payload."""
        # An empty queue takes any: a limit below the size of one publication must not stop everything.
        return not self._queued or self._queued + size + OVERHEAD <= self._limit

    def send_soon(self, entry: Entry) -> None:
        """Queue an entry. Its future, if it has one, gets the outcome.

        Raises:
            BrokerUnavailable: The server is known to be away and nothing is kept, or the queue is full.
        """
        with self._changed:
            if self._is_down and not self._keeps:
                raise self._unavailable("it is away")
            if not self.has_room(len(entry.payload)):
                self._drops.add(DropReason.QUEUE_FULL, self._outage.address)
                raise self._unavailable("BROKER_QUEUE_LIMIT is reached")
            size = len(entry.payload) + OVERHEAD
            self._queue.append(entry)
            self._queued += size  # and nothing that lets a signal handler in between
            if self._is_down and entry.future is not None:
                entry.future.set_result(None)  # kept: that is all that can be said for now
            self._keep_running()

    def send(self, entry: Entry) -> None:
        """Publish an entry, and wait for the outcome, for ``BROKER_TIMEOUT`` at most.

        It does not wait where it would keep up what it waits for: in a signal handler that has interrupted a thread
        that waits, and in the thread that publishes, where a handler of the log may want to.
        """
        thread = threading.get_ident()
        if thread in self._busy_threads:
            self.send_soon(entry)
            return
        self._busy_threads.add(thread)
        try:
            self._send_and_wait(entry)
        finally:
            self._busy_threads.discard(thread)

    def no_answer(self) -> BrokerUnavailable:
        """Return the exception for those who have waited long enough."""
        return self._unavailable(f"no answer within {self._timeout} s")

    def flush(self) -> None:
        """Wait until everything is published or given up, for ``BROKER_TIMEOUT`` at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue and not self._under_way, self._timeout)

    def end(self) -> None:
        """Do as `flush` does where the process ends, and count what was not published: the thread ends, too."""
        self.flush()
        with self._changed:
            self._give_up(RedisError("the process has ended"))
            if self._under_way:
                self._drops.add(DropReason.UNCONFIRMED, self._outage.address, self._under_way)
        self._drops.log_rest()

    def open(self) -> None:
        """Keep connections between publications, as until `close`."""
        self._is_stopping = False

    def close(self) -> None:
        """Publish what waits, for ``BROKER_TIMEOUT`` at most; then end the thread and the connections.

        Sending goes on working, with a connection for each time.
        """
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
            thread = self._thread
            if thread is None:
                self._exchange.close()
        if thread is not None:
            thread.join(self._timeout)

    def _send_and_wait(self, entry: Entry) -> None:
        deadline = time.monotonic() + self._timeout
        future: Future[None] = Future()
        entry.future = future
        with self._changed:
            if not self._is_down:
                self._changed.wait_for(
                    lambda: self.has_room(len(entry.payload)) or self._is_down, self._timeout
                )
            self.send_soon(entry)
        try:
            future.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            future.cancel()
            raise self.no_answer() from None

    def _keep_running(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="django_bolt-redis", daemon=True)
            thread.start()
            self._thread = thread  # only if it could be started; it waits for the lock until then
        self._changed.notify_all()

    def _run(self) -> None:
        self._busy_threads.add(threading.get_ident())
        try:
            self._work()
        except Exception:
            # The next publication starts another thread; who waits for one of these hears that nobody answers.
            logger.exception("Publishing to %s failed", self._outage.address)
            with self._changed:
                self._thread = None
                self._under_way = 0
                self._is_down = False  # or nothing would be tried again
                self._exchange.close()
        finally:
            self._busy_threads.discard(threading.get_ident())

    def _work(self) -> None:
        backoff = Backoff()
        while (batch := self._next_batch()) is not None:
            results = self._exchange.publish(batch)
            failed = [result for result in results if result.error is not None]
            self._settle(results)
            if any(result.outcome is not Outcome.REFUSED for result in failed):
                self._recover(failed[-1], backoff)
            else:
                backoff.reset()

    def _next_batch(self) -> list[Entry] | None:
        """Wait for entries; None ends the thread."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_stopping, LINGER)
            batch: list[Entry] = []
            size = 0
            while self._queue and len(batch) < BATCH and size < BATCH_BYTES:
                entry = self._queue.popleft()
                size += len(entry.payload) + OVERHEAD
                if entry.is_wanted():
                    batch.append(entry)
            self._queued -= size
            self._under_way = len(batch)
            self._changed.notify_all()  # there is room again
            if size:
                return batch
            self._thread = None
            if self._is_stopping:
                self._exchange.close()
            return None

    def _settle(self, results: list[Result]) -> None:
        """Tell those who wait what became of their entries, and put back what shall be tried again."""
        kept: list[Entry] = []
        for result in results:
            if result.outcome is Outcome.CONFIRMED:
                result.entry.succeed()
            elif result.outcome is Outcome.UNSENT and self._keeps:
                kept.append(result.entry)
            else:
                self._fail(result)
        with self._changed:
            self._put_back(kept)
            self._under_way = 0
            self._changed.notify_all()

    def _fail(self, result: Result) -> None:
        """Raise in those who wait; what nobody waits for is counted."""
        future = result.entry.future
        if future is None or future.done():
            self._drops.add(REASONS[result.outcome], f"{self._outage.address}: {result.error}")
        else:
            with contextlib.suppress(InvalidStateError):  # cancelled by another thread just now
                future.set_exception(self._unavailable(f"{MEANINGS[result.outcome]}: {result.error}"))

    def _recover(self, failed: Result, backoff: Backoff) -> None:
        """Go on when a server is there again."""
        self._exchange.refresh()
        if self._queue and self._exchange.is_connected:  # one node of several is away
            self._pause(backoff)
        while not self._exchange.is_connected and not self._is_stopping:
            self._go_down(failed)
            self._pause(backoff)
            with contextlib.suppress(RedisError):
                self._exchange.probe()
        with self._changed:
            self._is_down = False
            if self._is_stopping and not self._exchange.is_connected:
                self._give_up(failed.error)

    def _put_back(self, entries: list[Entry]) -> None:
        self._queue.extendleft(reversed(entries))
        self._queued += sum(len(entry.payload) + OVERHEAD for entry in entries)
        for entry in entries:
            entry.succeed()  # kept: that is all that can be said for now

    def _go_down(self, failed: Result) -> None:
        with self._changed:
            self._is_down = True
            if not self._keeps:
                self._give_up(failed.error)
            for entry in self._queue:
                entry.succeed()

    def _give_up(self, error: RedisError | None) -> None:
        """Fail everything in the queue for the same reason."""
        for entry in self._queue:
            self._fail(Result(entry, Outcome.UNSENT, error))
        self._queue.clear()
        self._queued = 0
        self._changed.notify_all()

    def _pause(self, backoff: Backoff) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping, backoff.pause())

    def _unavailable(self, reason: str) -> BrokerUnavailable:
        return BrokerUnavailable(self._outage.address, reason)
