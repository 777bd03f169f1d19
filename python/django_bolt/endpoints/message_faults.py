"""What a class endpoint does about a message that it cannot use."""

from __future__ import annotations

from typing import Any

from django_bolt.conf import bolt_settings
from django_bolt.endpoints.message_methods import MessageCall
from django_bolt.endpoints.websocket import WebSocket
from django_bolt.exceptions import InvalidMessage, UnsupportedData

__all__ = ["ACTIONS", "fault_answer"]

ACTIONS = ("reply", "close")
"""What can be done."""


def fault_answer(action: str | None) -> MessageCall:
    """Return what is called with a message that cannot be used: it returns an answer, or raises to close.

    Args:
        action: One of `ACTIONS`; None takes what the settings say.
    """

    async def answer(endpoint: Any, error: InvalidMessage | UnsupportedData, websocket: WebSocket) -> Any:
        if (action or bolt_settings().invalid_messages) == "reply":
            return _describe(error)
        try:
            raise error
        finally:
            del error  # Else its traceback holds this frame, which holds it, and the connection with them.

    return answer


def _describe(error: InvalidMessage | UnsupportedData) -> dict[str, Any]:
    if isinstance(error, UnsupportedData):
        return {"type": "error", "error": "unsupported_data", "detail": str(error), "path": "$"}
    described = {"type": "error", "error": "invalid_message", "detail": error.reason, "path": error.path}
    return {**described, "errors": error.errors} if len(error.errors) > 1 else described
