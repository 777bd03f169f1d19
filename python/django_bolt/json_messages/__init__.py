"""JSON messages: from values to bytes, and from messages into types."""

from django_bolt.json_messages.decoding import decoder_for, make_decoder
from django_bolt.json_messages.encoding import encode_json

__all__ = ["decoder_for", "encode_json", "make_decoder"]
