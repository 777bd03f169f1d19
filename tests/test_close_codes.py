from __future__ import annotations

import pytest

from django_bolt import CloseCode
from django_bolt.close_codes import check_close

# https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
REGISTRY = {
    1000: "NORMAL_CLOSURE",
    1001: "GOING_AWAY",
    1002: "PROTOCOL_ERROR",
    1003: "UNSUPPORTED_DATA",
    1005: "NO_STATUS_RECEIVED",
    1006: "ABNORMAL_CLOSURE",
    1007: "INVALID_FRAME_PAYLOAD_DATA",
    1008: "POLICY_VIOLATION",
    1009: "MESSAGE_TOO_BIG",
    1010: "MANDATORY_EXTENSION",
    1011: "INTERNAL_ERROR",
    1012: "SERVICE_RESTART",
    1013: "TRY_AGAIN_LATER",
    1014: "BAD_GATEWAY",
    1015: "TLS_HANDSHAKE",
    3000: "UNAUTHORIZED",
    3003: "FORBIDDEN",
    3008: "TIMEOUT",
}


def test_every_registered_code_has_its_name() -> None:
    assert {code.value: code.name for code in CloseCode} == REGISTRY


def test_server_error_of_the_specification_is_internal_error() -> None:
    assert CloseCode.SERVER_ERROR is CloseCode.INTERNAL_ERROR


def test_a_code_is_an_integer() -> None:
    assert CloseCode.NORMAL_CLOSURE == 1000
    assert f"{CloseCode.NORMAL_CLOSURE:d}" == "1000"


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999])
def test_codes_that_may_be_sent(code: int) -> None:
    assert check_close(code, "") is None


# RFC 6455 sections 7.4.1 and 7.4.2
@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536])
def test_codes_that_may_not_be_sent(code: int) -> None:
    with pytest.raises(ValueError, match=f"{code} may not be sent"):
        check_close(code, "")


# RFC 6455 section 5.5: a control frame carries at most 125 bytes.
def test_reason_is_measured_in_bytes() -> None:
    check_close(1000, "é" * 61 + "a")
    with pytest.raises(ValueError, match="124 bytes"):
        check_close(1000, "é" * 62)
