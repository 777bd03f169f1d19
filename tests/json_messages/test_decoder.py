from __future__ import annotations

from typing import Any

import pytest

from django_bolt import InvalidMessage
from django_bolt.json_messages.decoder import JsonDecoder


def explain(error: Exception, message: str | bytes) -> InvalidMessage:
    if isinstance(error, ZeroDivisionError):
        raise error
    return InvalidMessage(f"{message!r}: {error}")


def decode(message: str | bytes) -> Any:
    if not message:
        return 1 / 0
    return int(message)


def test_a_raising_decoder_raises() -> None:
    decode_message = JsonDecoder(decode, explain).raising()
    assert decode_message("1") == 1
    with pytest.raises(InvalidMessage, match="'a': invalid literal") as caught:
        decode_message("a")
    assert caught.value.__suppress_context__


def test_a_returning_decoder_returns_what_the_other_raises() -> None:
    decode_message = JsonDecoder(decode, explain).returning()
    assert decode_message("1") == 1
    returned = decode_message("a")
    assert isinstance(returned, InvalidMessage)
    assert returned.__traceback__ is None


@pytest.mark.parametrize("kind", ["raising", "returning"])
def test_what_is_not_the_fault_of_the_message_is_raised(kind: str) -> None:
    decode_message = getattr(JsonDecoder(decode, explain), kind)()
    with pytest.raises(ZeroDivisionError):
        decode_message("")
