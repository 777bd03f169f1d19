"""nginx in front, with the configuration of the documentation; by a port and by a Unix socket."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.serving import Server
from tests.deploy.proxied import BehindAProxy, Proxy, configuration, free_port, place_of

PROXY = "nginx"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.0/8 is local on Linux only")

MAIN = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr warn;
{user}
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    access_log {folder}/other.log;
    {http}
}}
"""


@pytest.fixture(scope="module")
def proxy(
    executable: str,
    direct: Server,
    certificate: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    """nginx."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    (folder / "static").mkdir()
    (folder / "static" / "page.css").write_text("body { color: teal }")
    place = place_of(direct)
    http = configuration(
        "nginx",
        [
            (
                "server 127.0.0.1:8000;",
                f"server unix:{place};" if place.startswith("/") else f"server {place};",
            ),
            ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
            ("/etc/ssl/example.com.pem", str(certificate[0])),
            ("/etc/ssl/example.com.key", str(certificate[1])),
            ("/var/log/nginx/access.log", f"{folder}/access.log"),
            ("/srv/mysite/static/", f"{folder}/static/"),
            ("proxy_read_timeout 60s;", "proxy_read_timeout 2s;"),
        ],
    )
    # Its worker would else be somebody who may not read the folders of this test.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, http=http, user=user))
    command = [executable, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with Proxy(command, port, certificate[0], folder / "nginx.log") as started:
        yield started
    log = folder / "access.log"
    assert "?" not in log.read_text(), "queries may hold tokens"
    assert "127.0.0.2" in log.read_text()


class TestNginx(BehindAProxy):
    def test_files(self, proxy: Proxy) -> None:
        with proxy.peer() as peer:
            lines = f"GET /static/page.css HTTP/1.1\r\nHost: {proxy.host}\r\n\r\n"
            response = peer.request(lines.encode())
            assert response.status == 200
            assert peer.take(int(response.fields["content-length"])) == b"body { color: teal }"

    def test_queries_arrive_though_they_are_not_logged(self, proxy: Proxy) -> None:
        with proxy.peer() as peer:
            assert peer.open("/client?token=secret").receive_json()["url"].endswith("/client?token=secret")

    def test_an_offer_of_another_protocol_is_not_passed_on(self, proxy: Proxy) -> None:
        with proxy.peer() as peer:
            fields = [f"Host: {proxy.host}", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"]
            lines = ["POST /upload HTTP/1.1", *fields, "Content-Length: 5", "", "hello"]
            response = peer.request("\r\n".join(lines).encode())
            assert response.status == 200
            assert peer.take(int(response.fields["content-length"])) == b"5"
