"""What is known of a connection under test, without waiting."""

from __future__ import annotations

from django_bolt.testing.steps import SessionSteps

__all__ = ["SessionState"]


class SessionState:
    """Base of the test sessions: what their connection has come to, as far as it was read."""

    __test__ = False

    def __init__(self, steps: SessionSteps) -> None:
        self._steps = steps

    def __repr__(self) -> str:
        state = "open" if self.close_code is None else f"closed with {self.close_code}"
        return f"<{type(self).__name__} {self._steps.connection.path.partition('?')[0]} {state}>"

    @property
    def accepted_subprotocol(self) -> str | None:
        """The subprotocol that the server chose, or None."""
        return self._steps.connection.accepted_subprotocol

    @property
    def response_headers(self) -> dict[str, str]:
        """Header fields of the 101 response, names in lower case."""
        return dict(self._steps.connection.response_headers)

    @property
    def close_code(self) -> int | None:
        """Close code once the connection has ended, else None.

        That of the server's Close frame, 1005 if it had none, 1006 if there was no Close frame.
        """
        return self._steps.connection.close_code

    @property
    def close_reason(self) -> str:
        """Close reason."""
        return self._steps.connection.close_reason
