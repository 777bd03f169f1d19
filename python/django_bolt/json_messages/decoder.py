"""What decodes a JSON message, and says in the words of `InvalidMessage` why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from django_bolt.exceptions import InvalidMessage

__all__ = ["JsonDecoder"]

Message = str | bytes


class JsonDecoder(NamedTuple):
    """A decoder for one type.

    Attributes:
        decode: Returns the value of a message, or raises what its library raises.
        explain: Turns that into an InvalidMessage; what is not the message's fault it raises again. Takes the
            message too, because some libraries do not say where in it the fault is.
    """

    decode: Callable[[Message], Any]
    explain: Callable[[Exception, Message], InvalidMessage]

    def raising(self) -> Callable[[Message], Any]:
        """Return a function that decodes a message, and raises InvalidMessage where it cannot."""
        decode, explain = self

        def decode_message(message: Message) -> Any:
            try:
                return decode(message)
            except Exception as error:
                raise explain(error, message) from None

        return decode_message

    def returning(self) -> Callable[[Message], Any]:
        """Return a function that decodes a message, and returns an InvalidMessage where it cannot."""
        decode, explain = self

        def decode_message(message: Message) -> Any:
            try:
                return decode(message)
            except Exception as error:
                return explain(error, message)

        return decode_message
