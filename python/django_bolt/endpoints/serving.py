"""One connection in its task: from authentication to the end of its handler."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

from django_bolt.auth.admission import admit
from django_bolt.auth.defaults import default_authentication, default_guards
from django_bolt.auth.guards import BaseGuard
from django_bolt.conf import bolt_settings
from django_bolt.endpoints.announcing import catch_up, recent_events
from django_bolt.endpoints.connected_users import connected_users
from django_bolt.endpoints.dependencies.running import resolve, run_with_cleanup
from django_bolt.endpoints.endpoint import Endpoint
from django_bolt.endpoints.outcome import conclude, conclude_exception
from django_bolt.endpoints.refusals import RETRY
from django_bolt.endpoints.tally import Tally
from django_bolt.endpoints.websocket import WebSocket
from django_bolt.exceptions import HTTPException
from django_bolt.threads import use_job_threads

__all__ = ["serve"]


async def serve(websocket: WebSocket, endpoint: Endpoint, users: Tally) -> None:
    """Run a handler from admission to its end.

    With thousands of idle connections this frame and the handler's are all that waits: what is needed before
    the handler runs is done, and gone, in `_prepare`.

    Args:
        websocket: The connection.
        endpoint: What serves it.
        users: Counts the connections of each user.
    """
    websocket.enter_handler()
    use_job_threads()
    try:
        await (await _prepare(websocket, endpoint, users))
    except BaseException as error:
        # Raised from here and not from there: a frame that is in the traceback of an exception that it holds
        # would keep the connection alive until the garbage collector comes.
        if not await conclude_exception(websocket, endpoint, error):
            raise
    else:
        await conclude(websocket)
    finally:
        websocket.detach_task()


async def _prepare(websocket: WebSocket, endpoint: Endpoint, users: Tally) -> Coroutine[Any, Any, Any]:
    """Admit the client and return the handler's coroutine, not yet begun."""
    authentications = default_authentication() if endpoint.auth is None else endpoint.auth
    guards = default_guards() if endpoint.guards is None else endpoint.guards
    if authentications or guards:
        since = recent_events.begin()
        await admit(websocket, authentications, guards, partial(_stay_true, guards=guards, since=since))
        _count_user(websocket, users)
        websocket.subscribe_user()
    plan = endpoint.plan()
    gathered = plan.gather(websocket)
    if endpoint.topics:
        topics, patterns = endpoint.topics.fill(websocket.path_params)
        await websocket.subscribe(*topics, patterns=patterns)
    if plan.has_cleanup:
        return run_with_cleanup(plan, websocket, gathered, endpoint.handler)
    arguments = await resolve(plan, websocket, gathered, []) if plan.dependencies else gathered[0]
    websocket.release_request()
    return endpoint.handler(websocket, **arguments)


def _stay_true(websocket: WebSocket, *, guards: Sequence[BaseGuard], since: float) -> None:
    """Have the connection closed when what lets it in holds no longer."""
    watch = connected_users.add(websocket, guards)
    if watch is not None:
        catch_up(watch, since)


def _count_user(websocket: WebSocket, users: Tally) -> None:
    limit = bolt_settings().max_connections_per_user
    identity, task = websocket.identity, asyncio.current_task()
    if limit is None or identity is None or identity.key is None or task is None:
        return
    if users.is_full(identity.key, limit):
        raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, headers=RETRY)
    users.count(identity.key, task)
