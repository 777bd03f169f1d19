from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from django_bolt.server.access_log import configure_access_log


@pytest.fixture
def access_log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("uvicorn.access")
    before = logger.handlers, logger.level, logger.propagate, list(logger.filters)
    configure_access_log()
    yield logger
    logger.handlers, logger.level, logger.propagate, logger.filters = before


@pytest.fixture
def lines(access_log: logging.Logger) -> list[str]:
    """What is written for a request."""
    written: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(record.getMessage())

    access_log.handlers = [Keep()]
    return written


def log_request(target: str) -> None:
    """Log as uvicorn does."""
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "127.0.0.1:50000", "GET", target, "1.1", 200
    )


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/x/?token=SECRET", "/x/?token=…"),
        ("/x/?token=SECRET&page=2", "/x/?token=…&page=2"),
        ("/x/?page=2&token=SECRET", "/x/?page=2&token=…"),
        ("/x/?TOKEN=SECRET", "/x/?TOKEN=…"),
        ("/x/?access_token=SECRET", "/x/?access_token=…"),
        ("/x/?api_key=SECRET&key=SECRET&signature=SECRET", "/x/?api_key=…&key=…&signature=…"),
        ("/x/?token=SECRET&token=SECRET", "/x/?token=…&token=…"),
        ("/x/?token=SEC=RET", "/x/?token=…"),
        ("/x/?token=", "/x/?token=…"),
        ("/x/?page=2", "/x/?page=2"),
        ("/x/?monkey=1", "/x/?monkey=1"),
        ("/token=kept/", "/token=kept/"),
    ],
)
def test_credentials_are_hidden(lines: list[str], target: str, shown: str) -> None:
    log_request(target)
    assert lines == [f'127.0.0.1:50000 - "GET {shown} HTTP/1.1" 200']


def test_an_escaped_name_is_hidden_too(lines: list[str]) -> None:
    """``%74oken`` is ``token`` for the server; it must not be a way around."""
    log_request("/x/?%74oken=SECRET&api%5Fkey=SECRET")
    assert "SECRET" not in lines[0]


def test_records_without_arguments_pass(lines: list[str]) -> None:
    logging.getLogger("uvicorn.access").info("plain")
    assert lines == ["plain"]


def test_it_writes_where_django_s_server_does(access_log: logging.Logger) -> None:
    assert access_log.handlers == logging.getLogger("django.server").handlers
    assert access_log.isEnabledFor(logging.INFO)
    assert not access_log.propagate


def test_configuring_twice_filters_once(access_log: logging.Logger) -> None:
    configure_access_log()
    names = [type(entry).__name__ for entry in access_log.filters]
    assert names.count("_HideCredentials") == 1
