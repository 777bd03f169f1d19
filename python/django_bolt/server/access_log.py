"""The log of HTTP requests, in the shape that ``runserver`` users know."""

from __future__ import annotations

import logging
import re

__all__ = ["configure_access_log"]

_CREDENTIALS = re.compile(r"(?i)([?&](?:token|access_token|api_key|key|signature)=)[^&\s\"]*")


class _HideCredentials(logging.Filter):
    """Takes the values of query parameters that carry credentials out of a record's arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _CREDENTIALS.sub(r"\1…", argument) if isinstance(argument, str) else argument
                for argument in record.args
            )
        return True


def configure_access_log() -> None:
    """Write uvicorn's access log through the handlers of ``django.server``."""
    target = logging.getLogger("django.server")
    logger = logging.getLogger("uvicorn.access")
    logger.handlers = list(target.handlers)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if not any(isinstance(existing, _HideCredentials) for existing in logger.filters):
        logger.addFilter(_HideCredentials())
