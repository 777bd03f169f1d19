"""The log of HTTP requests, in the shape that ``runserver`` users know."""

from __future__ import annotations

import logging
import re
from urllib.parse import unquote_plus

__all__ = ["configure_access_log"]

_PARAMETER = re.compile(r"([?&])([^=&\s\"]+)=[^&\s\"]*")
_CREDENTIALS = frozenset({"token", "access_token", "api_key", "key", "signature"})


class _HideCredentials(logging.Filter):
    """Takes the values of query parameters that carry credentials out of a record's arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _PARAMETER.sub(_hide, argument) if isinstance(argument, str) else argument
                for argument in record.args
            )
        return True


def _hide(parameter: re.Match[str]) -> str:
    separator, name = parameter.groups()
    # The name as the site reads it: escaping a letter must not be a way around.
    return f"{separator}{name}=…" if unquote_plus(name).lower() in _CREDENTIALS else parameter[0]


def configure_access_log() -> None:
    """Write uvicorn's access log through the handlers of ``django.server``."""
    target = logging.getLogger("django.server")
    logger = logging.getLogger("uvicorn.access")
    logger.handlers = list(target.handlers)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if not any(isinstance(existing, _HideCredentials) for existing in logger.filters):
        logger.addFilter(_HideCredentials())
