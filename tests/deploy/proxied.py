"""A proxy in front of a live server, with the configuration that the documentation shows."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.attacks.serving import Server, Servers
from tests.attacks.wire import Peer, request

PAGE = Path(__file__).resolve().parents[2] / "docs" / "deploy" / "proxies.md"
VISITOR = "127.0.0.2"
"""Where clients connect from: not the address of the proxy."""
START_TIMEOUT = 15
STOP_TIMEOUT = 10


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key of the proxy."""
    folder = tmp_path_factory.mktemp("proxy")
    chain, key = folder / "chain.pem", folder / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", key, "-out", chain], check=True, capture_output=True)
    return chain, key


@pytest.fixture(scope="module", params=["port", "socket"])
def direct(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Server]:
    """The server, on a port or on a Unix socket."""
    pings = {"PING_INTERVAL": 0.5, "PING_TIMEOUT": 5}
    if request.param == "port":
        with servers.make("127.0.0.1:0", TRUSTED_PROXIES=["127.0.0.1", "::1"], **pings) as server:
            yield server
        return
    with TemporaryDirectory(prefix="bolt") as folder:  # not in tmp_path, which may be too long for an address
        Path(folder).chmod(0o755)
        with servers.make("--uds", f"{folder}/socket", TRUSTED_PROXIES=["unix"], **pings) as server:
            yield server


@pytest.fixture(scope="module")
def executable(request: pytest.FixtureRequest) -> str:
    """The proxy that the module names. Without it tests are skipped, but in CI they fail."""
    name: str = request.module.PROXY
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        reason = f"no {name}: install your system's package"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def place_of(server: Server) -> str:
    """Return the path of a server's Unix socket, or else its address and port."""
    return server.url.partition("://")[2]


def configuration(language: str, replacements: Sequence[tuple[str, str]]) -> str:
    """Return the one example in a language, with some of its text replaced, all of which must be there."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    return str(text)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Proxy:
    """A proxy process; use it as a context manager.

    Args:
        command: Starts it in the foreground.
        port: Where it listens with TLS.
        certificate: File with its certificate.
        log: File that takes what it writes.
    """

    def __init__(self, command: Sequence[str], port: int, certificate: Path, log: Path) -> None:
        self.host = f"127.0.0.1:{port}"
        self._command = command
        self._port = port
        self._trust = ssl.create_default_context(cafile=certificate)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Proxy:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_TIMEOUT
        while not self._listens():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def _socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), 10, source_address=(VISITOR, 0))

    def peer(self) -> Peer:
        """Return a client that sends bytes."""
        return Peer(self._trust.wrap_socket(self._socket(), server_hostname="127.0.0.1"), self.host)

    def connect(self, path: str, **options: Any) -> ClientConnection:
        """Return a client that speaks WebSocket as it should, pongs included."""
        url = f"wss://{self.host}{path}"
        return connect(url, sock=self._socket(), ssl=self._trust, proxy=None, **options)


# ── what must work ───────────────────────────────────────────────────────────────────────────────────────


class BehindAProxy:
    """The tests, for each proxy; a subclass has the fixture ``proxy``."""

    def test_messages(self, proxy: Proxy) -> None:
        with proxy.connect("/echo") as client:
            assert "permessage-deflate" in str(client.response.headers if client.response else "")
            for size in (0, 1, 2000, 100_000, 1 << 20):
                client.send("x" * size)
                assert client.recv(timeout=10) == "x" * size

    def test_endpoints_see_the_client(self, proxy: Proxy) -> None:
        with proxy.peer() as peer:
            found = peer.open("/client").receive_json()
        assert found == {"client": [VISITOR, 0], "url": f"wss://{proxy.host}/client"}

    @pytest.mark.parametrize(
        "fields",
        [
            ["X-Forwarded-For: 192.0.2.66", "X-Forwarded-Proto: http"],
            ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 127.0.0.1"],
            ["Forwarded: for=192.0.2.66;proto=http"],
            ["X-Forwarded-Host: elsewhere.example"],
        ],
    )
    def test_a_client_cannot_choose_who_it_is(self, proxy: Proxy, fields: list[str]) -> None:
        with proxy.peer() as peer:
            found = peer.open("/client", *fields).receive_json()
        assert found == {"client": [VISITOR, 0], "url": f"wss://{proxy.host}/client"}

    def test_pages_see_the_client(self, proxy: Proxy) -> None:
        assert self.page(proxy) == f"https {VISITOR}".encode()

    def page(self, proxy: Proxy) -> bytes:
        """Return the page that says who the client is."""
        with proxy.peer() as peer:
            response = peer.request(
                request("GET / HTTP/1.1", f"Host: {proxy.host}", "X-Forwarded-For: 192.0.2.66")
            )
            assert response.status == 200
            return peer.take(int(response.fields["content-length"]))

    def test_a_handshake_after_pages_on_the_same_connection(self, proxy: Proxy) -> None:
        """The proxy keeps connections to the server, so that pages and WebSockets come over the same."""
        for _ in range(5):
            assert self.page(proxy) == f"https {VISITOR}".encode()
            with proxy.peer() as peer:
                assert peer.open("/echo").echoes()

    @pytest.mark.parametrize(("origin", "status"), [(None, 101), ("https://elsewhere.example", 403)])
    def test_origins(self, proxy: Proxy, origin: str | None, status: int) -> None:
        with proxy.peer() as peer:
            lines = [
                "GET /echo HTTP/1.1",
                f"Host: {proxy.host}",
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                f"Origin: {origin or f'https://{proxy.host}'}",
            ]
            assert peer.request(request(*lines)).status == status

    def test_a_close_code_arrives(self, proxy: Proxy) -> None:
        with proxy.connect("/echo") as client:
            client.close(4001, "enough")
            assert client.close_code == 4001

    def test_pings_keep_an_idle_connection_open(self, proxy: Proxy) -> None:
        """Longer than the proxy waits for a server that says nothing."""
        with proxy.connect("/echo", ping_interval=None) as client:
            time.sleep(3.5)
            client.send("still here")
            assert client.recv(timeout=10) == "still here"
