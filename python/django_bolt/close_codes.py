"""Close codes of the WebSocket protocol, as the IANA registry names them (RFC 6455 section 7.4)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

AUTHENTICATION_ENDED: Final = 4401
"""Close code when what let the client in holds no longer, after HTTP 401."""
PERMISSION_LOST: Final = 4403
"""Close code when a guard would not let the client in any more, after HTTP 403."""

_RECEIVED_ONLY = frozenset({1004, 1005, 1006, 1015})
_MAX_REASON_BYTES = 123  # A control frame carries 125 bytes, of which the code takes two (section 5.5).


class CloseCode(IntEnum):
    """Registered close codes.

    Codes from 4000 to 4999 are free for private use and need no name here; every argument that takes a
    `CloseCode` takes a plain integer too.
    """

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_FRAME_PAYLOAD_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVER_ERROR = 1011
    """Another name of `INTERNAL_ERROR`."""
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015
    UNAUTHORIZED = 3000
    FORBIDDEN = 3003
    TIMEOUT = 3008


def check_close(code: int, reason: str) -> None:
    """Check that a Close frame may carry a code and a reason.

    Raises:
        ValueError: The code may not be sent (RFC 6455 section 7.4), or the reason exceeds 123 bytes of UTF-8.
    """
    if not (1000 <= code <= 1014 or 3000 <= code <= 4999) or code in _RECEIVED_ONLY:
        raise ValueError(
            f"Close code {int(code)} may not be sent: use 1000 to 1003, 1007 to 1014 or 3000 to 4999"
        )
    length = len(reason.encode())
    if length > _MAX_REASON_BYTES:
        raise ValueError(f"Close reason has {length} bytes of UTF-8; at most {_MAX_REASON_BYTES} fit")
