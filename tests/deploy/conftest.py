"""The server behind proxies; its site is that of the attacks."""

from __future__ import annotations

from tests.attacks.conftest import servers
from tests.deploy.proxied import certificate, direct, executable

__all__ = ["certificate", "direct", "executable", "servers"]
