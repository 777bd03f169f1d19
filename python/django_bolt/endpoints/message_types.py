"""One decoder for all types of message that an endpoint takes, which tells them apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, is_typeddict

import msgspec

from django_bolt.exceptions import InvalidMessage, UnsupportedData
from django_bolt.json_messages import make_decoder
from django_bolt.json_messages.decoder import Message
from django_bolt.json_messages.pydantic_types import discriminator_of, is_pydantic

__all__ = ["FAULTS", "decoder_of_messages", "is_raw", "runtime_class"]

Decode = Callable[[Message], Any]

FAULTS = (InvalidMessage, UnsupportedData)
"""What a message that is of none of the types becomes."""
_SUPPORTED = "a msgspec.Struct, a dataclass, a TypedDict, a Pydantic model, dict, list, str, bytes, or a union of these"
_ADVICE = "give each a tag, as in class Say(msgspec.Struct, tag=True), or models a field such as type: Literal['say']"


def runtime_class(type_: Any) -> type:
    """Return the class that messages of a type have when they are decoded.

    Raises:
        TypeError: It is no type of message.
    """
    bare = get_args(type_)[0] if get_origin(type_) is Annotated else type_
    kind = get_origin(bare) or bare
    if is_typeddict(kind):
        return dict
    if isinstance(kind, type) and (kind in (str, bytes, dict, list, *FAULTS) or _is_built(kind)):
        return kind
    raise TypeError(f"messages cannot be of type {_name(type_)}; a method takes {_SUPPORTED}")


def _is_built(kind: type) -> bool:
    return issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind) or is_pydantic(kind)


def is_raw(kind: type) -> bool:
    """Tell whether messages of a class are taken as they come, and not as JSON."""
    return kind in (str, bytes)


def decoder_of_messages(types: Sequence[Any]) -> Decode:
    """Return a function that decodes a message into the one of the types that it is.

    What is of none of them is returned, not raised: an InvalidMessage or an UnsupportedData, as a message of its own.

    Raises:
        TypeError: The types cannot be told apart.
    """
    json_types = [type_ for type_ in types if not is_raw(type_) and type_ not in FAULTS]
    if str in types and json_types:
        raise TypeError("str takes every text message, so that none is left to be JSON")
    if not json_types:
        return _raw_decoder(str in types, bytes in types)
    decode = _json_decoder(json_types)
    if bytes not in types:
        return decode
    return lambda message: message if type(message) is bytes else decode(message)


def _raw_decoder(takes_text: bool, takes_binary: bool) -> Decode:
    if takes_text and takes_binary:
        return lambda message: message
    if takes_text:
        return lambda message: message if type(message) is str else UnsupportedData("text", "binary")
    if takes_binary:
        return lambda message: message if type(message) is bytes else UnsupportedData("binary", "text")
    return lambda message: InvalidMessage("No messages are taken here")


def _json_decoder(types: list[Any]) -> Decode:
    objects = [type_ for type_ in types if runtime_class(type_) is not list]
    fallbacks = [type_ for type_ in objects if (get_origin(type_) or type_) is dict]
    if not fallbacks or len(objects) == 1:
        return _union_decoder(types)
    objects.remove(fallbacks[0])
    tags = _tags_of(objects)
    known = _union_decoder([type_ for type_ in types if type_ is not fallbacks[0]])
    unknown = make_decoder(fallbacks[0]).returning()

    def decode(message: Message) -> Any:
        found = known(message)
        return unknown(message) if type(found) is InvalidMessage and tags.is_unknown(message) else found

    return decode


def _union_decoder(types: list[Any]) -> Decode:
    models = [type_ for type_ in types if is_pydantic(type_)]
    if models and len(models) != len(types):
        raise TypeError("models of Pydantic cannot be mixed with other types of JSON messages")
    if len(models) > 1 and discriminator_of(models) is None:
        raise TypeError(f"{_names(models)} cannot be told apart; {_ADVICE}")
    try:
        return make_decoder(Union[tuple(types)]).returning()  # noqa: UP007 - made at run time
    except TypeError as error:
        if len(types) == 1:
            raise
        raise TypeError(f"{_names(types)} cannot be told apart; {_ADVICE} ({error})") from None


class _Tags(NamedTuple):
    """What tells objects apart: a key of theirs, and the values that are known."""

    key: str
    values: tuple[Any, ...]

    def is_unknown(self, message: Message) -> bool:
        """Tell whether a message that is no known object is another one."""
        try:
            data = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return False
        return isinstance(data, dict) and data.get(self.key) not in self.values


def _tags_of(types: list[Any]) -> _Tags:
    """Return the tags beside which a dict can be the rest.

    Raises:
        TypeError: Some have none.
    """
    discriminator = discriminator_of(types)
    if discriminator is not None:
        return _Tags(discriminator.key, discriminator.values)
    configs = [getattr(get_origin(type_) or type_, "__struct_config__", None) for type_ in types]
    untagged = [
        type_ for type_, config in zip(types, configs, strict=True) if config is None or config.tag is None
    ]
    if untagged:
        raise TypeError(f"{_names(untagged)} and dict cannot be told apart; {_ADVICE}")
    found = [config for config in configs if config is not None]
    return _Tags(found[0].tag_field, tuple(config.tag for config in found))


def _names(types: list[Any]) -> str:
    return " and ".join(map(_name, types))


def _name(type_: Any) -> str:
    return type_.__name__ if isinstance(type_, type) and not get_args(type_) else str(type_)
