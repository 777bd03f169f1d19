"""TLS: certificates, handshakes, and the server as a user starts it."""

from __future__ import annotations

import asyncio
import http.client
import os
import resource
import socket
import ssl
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from django_bolt import _core
from django_bolt.server.tls import Certificate, make_context
from tests.core.loopback import Server, echo, until
from tests.server.encrypted import DEADLINE, KIB, MIB, Encrypted, Serve, make_certificate
from tests.server.own_site import OwnSite, Running

# ── certificates ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_certificate_and_its_key_may_be_one_file(certificate: Certificate, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(Path(certificate.chain).read_bytes() + Path(str(certificate.key)).read_bytes())
    assert make_context(Certificate(str(both))).minimum_version >= ssl.TLSVersion.TLSv1_2


def test_clients_cannot_ask_for_handshakes_again_and_again(certificate: Certificate) -> None:
    assert make_context(certificate).options & ssl.OP_NO_RENEGOTIATION


def test_a_file_that_is_not_there(certificate: Certificate, tmp_path: Path) -> None:
    for wrong in (
        Certificate(str(tmp_path / "nowhere.pem"), certificate.key),
        Certificate(certificate.chain, str(tmp_path / "nowhere.pem")),
    ):
        with pytest.raises(FileNotFoundError):
            make_context(wrong)


def test_a_key_that_is_none_or_another_certificates(certificate: Certificate, tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "other")
    for key in (other.key, certificate.chain, None):
        with pytest.raises(ssl.SSLError):
            make_context(Certificate(certificate.chain, key))


# ── TLS handshakes that are none ─────────────────────────────────────────────────────────────────────────

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""The beginning of one of 512 bytes."""


async def _end_of(connection: socket.socket) -> float:
    """Wait for the end of a connection that gets no answer in plain; returns the seconds it took."""
    began = time.monotonic()
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    received = b""
    with suppress(ConnectionError):
        async with asyncio.timeout(DEADLINE):
            while data := await loop.sock_recv(connection, KIB):
                received += data
    assert not received or received[0] == 0x15, "a TLS alert, if anything"
    return time.monotonic() - began


@pytest.mark.parametrize("beginning", [b"", HELLO[:1], HELLO], ids=["silence", "one byte", "half a hello"])
async def test_a_handshake_that_does_not_end_has_a_deadline(serve: Serve, beginning: bytes) -> None:
    encrypted = await serve(handshake_timeout=0.4)
    with encrypted.plain() as connection:
        connection.sendall(beginning)
        assert 0.3 < await _end_of(connection) < 2
    assert encrypted.server.reactor.connections() == []
    assert await (await encrypted.open()).echoes()


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        _core.ClientProtocol("/", "localhost").request(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        bytes(1000),
        b"\xff" * 70_000,
    ],
    ids=["HTTP", "WebSocket", "HTTP/2", "zeros", "noise"],
)
async def test_what_is_no_tls_is_ended_without_waiting_for_a_deadline(serve: Serve, beginning: bytes) -> None:
    encrypted = await serve()
    with encrypted.plain() as connection:
        with suppress(ConnectionError):
            connection.sendall(beginning)
        assert await _end_of(connection) < 2
    assert encrypted.server.reactor.connections() == []
    assert await (await encrypted.open()).echoes()


async def test_handshakes_in_progress_are_limited(serve: Serve) -> None:
    """As many as MAX_CONNECTIONS; others wait to be accepted, and are served when one of them ends."""
    encrypted = await serve(max_connections=3)
    silent = [encrypted.plain() for _ in range(3)]
    await until(lambda: encrypted.outside == 3, "their handshakes")
    waiting = asyncio.ensure_future(encrypted.open())
    await asyncio.wait({waiting}, timeout=0.2)
    assert not waiting.done()
    assert encrypted.outside == 3
    silent[0].close()
    assert await (await asyncio.wait_for(waiting, DEADLINE)).echoes()
    for connection in silent:
        connection.close()


async def test_those_who_wait_are_accepted_after_the_deadline_of_others(serve: Serve) -> None:
    encrypted = await serve(max_connections=2, handshake_timeout=0.3)
    with encrypted.plain(), encrypted.plain():
        clients = await asyncio.gather(*(encrypted.open() for _ in range(5)))
        for client in clients:
            assert await client.echoes()
    await until(lambda: not encrypted.outside, "the end of all handshakes")


async def test_heads_that_are_awaited_count_with_them(serve: Serve) -> None:
    encrypted = await serve(max_connections=2)
    silent = [await encrypted.connect() for _ in range(2)]
    await until(lambda: not encrypted.outside, "the end of the handshakes")
    assert encrypted.server.reactor.pending == 2
    waiting = asyncio.ensure_future(encrypted.connect())
    await asyncio.wait({waiting}, timeout=0.3)
    assert not waiting.done()
    await silent[0].open()
    await waiting


async def test_without_descriptors_accepting_pauses(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    encrypted = await serve()
    kept = [os.open(os.devnull, os.O_RDONLY)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    waiting = encrypted.plain()
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(kept), hard))
    try:
        await until(lambda: caplog.records, "the report")
        await asyncio.sleep(0.3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(kept[0])
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "Accepting TLS connections pauses"
    ]
    await until(lambda: encrypted.outside, "its turn")
    waiting.close()
    assert await (await encrypted.open()).echoes()


async def test_after_it_the_request_head_has_a_deadline_of_its_own(
    certificate: Certificate, trust: ssl.SSLContext
) -> None:
    server = Server(echo, handshake_timeout=0.3)
    encrypted = Encrypted(server, certificate, trust, handshake_timeout=5.0)
    await encrypted.start()
    try:
        client = await encrypted.connect()
        began = time.monotonic()
        await client.send(b"GET / HTTP/1.1\r\n")
        assert (await client.event())[:2] == ("rejected", 408)
        assert 0.2 < time.monotonic() - began < 2
    finally:
        await encrypted.stop()


# ── the server ───────────────────────────────────────────────────────────────────────────────────────────

URLS = """
import json
from django.http import JsonResponse
from django.urls import path


def page(request):
    found = {
        "scheme": request.scheme,
        "secure": request.is_secure(),
        "address": request.META.get("REMOTE_ADDR"),
        "url": request.build_absolute_uri(),
        "length": len(request.body),
    }
    return JsonResponse(found)


from django.views.decorators.csrf import csrf_exempt
urlpatterns = [path("page/", csrf_exempt(page))]
"""
API = """
from django_bolt import BoltAPI, WebSocket

api = BoltAPI()


@api.websocket("/ws/client")
async def client(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_json({"client": websocket.client, "url": websocket.url, "secure": websocket.is_secure})
    async for message in websocket:
        await websocket.send(message)
"""


@pytest.fixture
def site(own_site: OwnSite) -> OwnSite:
    """The site with a page and an endpoint that say how they are reached."""
    own_site.write("own_site/urls.py", URLS)
    own_site.write("own_site/api.py", API)
    return own_site


def start(site: OwnSite, certificate: Certificate, *arguments: str, **settings: Any) -> Running:
    """Serve with TLS."""
    files = ["--ssl-certfile", certificate.chain, "--ssl-keyfile", str(certificate.key)]
    return site.start("--noreload", *files, *arguments, **settings)


def test_pages_and_endpoints_see_https_and_the_client(
    site: OwnSite, certificate: Certificate, trust: ssl.SSLContext
) -> None:
    with start(site, certificate) as running:
        assert "at https://127.0.0.1:" in running.banner
        page = f"{running.url}page/"
        with urllib.request.urlopen(page, context=trust) as response:
            found = response.read()
        expected = b'{"scheme": "https", "secure": true, "address": "127.0.0.1", "url": "%s", "length": 0}'
        assert found == expected % page.encode()
        with running.connect("/ws/client", ssl=trust) as client:
            address = list(client.socket.getsockname())
            url = f"{running.url.replace('https', 'wss')}ws/client"
            expected_text = f'{{"client":["{address[0]}",{address[1]}],"url":"{url}","secure":true}}'
            assert client.recv(timeout=10) == expected_text
            for size in (1, 1000, MIB):
                client.send("x" * size)
                assert client.recv(timeout=10) == "x" * size


def test_requests_with_bodies_on_a_connection_that_is_kept(
    site: OwnSite, certificate: Certificate, trust: ssl.SSLContext
) -> None:
    with start(site, certificate) as running:
        connection = http.client.HTTPSConnection("127.0.0.1", running.port, context=trust, timeout=10)
        for size in (0, 1, 100_000, 2_000_000):
            connection.request("POST", "/page/", body=b"x" * size)
            assert f'"length": {size}}}'.encode() in connection.getresponse().read()
        connection.close()


def test_without_its_certificate_a_client_does_not_trust_it(site: OwnSite, certificate: Certificate) -> None:
    with start(site, certificate) as running:
        with pytest.raises(ssl.SSLCertVerificationError):
            running.connect("/ws/client", ssl=ssl.create_default_context())
        assert "Traceback" not in running.output()


def test_stopping_says_1012(site: OwnSite, certificate: Certificate, trust: ssl.SSLContext) -> None:
    running = start(site, certificate, "--workers", "2")
    clients = [running.connect("/ws/client", ssl=trust) for _ in range(4)]
    for client in clients:
        client.recv(timeout=10)
    running.send_signal()
    for client in clients:
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=10)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1012
    assert running.wait() == 0
    assert "Traceback" not in running.output()
