"""Caddy in front, with the configuration of the documentation; by a port and by a Unix socket."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.serving import Server
from tests.deploy.proxied import BehindAProxy, Proxy, configuration, free_port, place_of

PROXY = "caddy"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.0/8 is local on Linux only")

GLOBAL = """
{{
    admin off
    auto_https disable_redirects
    storage file_system {folder}/storage
}}
"""


@pytest.fixture(scope="module")
def proxy(
    executable: str,
    direct: Server,
    certificate: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    """Caddy."""
    folder, port = tmp_path_factory.mktemp("caddy"), free_port()
    place = place_of(direct)
    site = configuration(
        "caddyfile",
        [
            ("example.com {", f"https://127.0.0.1:{port} {{\n    tls {certificate[0]} {certificate[1]}"),
            ("127.0.0.1:8000", f"unix/{place}" if place.startswith("/") else place),
            ("/srv/mysite/static", f"{folder}/static"),
        ],
    )
    (folder / "Caddyfile").write_text(GLOBAL.format(folder=folder) + site)
    command = [executable, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    with Proxy(command, port, certificate[0], folder / "caddy.log") as started:
        yield started


class TestCaddy(BehindAProxy):
    pass
