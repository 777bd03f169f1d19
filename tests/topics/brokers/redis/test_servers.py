"""Finding a server by Sentinel, and over TLS."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from django_bolt.conf import BoltSettings
from django_bolt.exceptions import BrokerUnavailable
from django_bolt.testing.broker_contract.process import OtherProcess, message
from django_bolt.topics.brokers import make_broker
from django_bolt.topics.brokers.redis.servers import ClusterServers
from django_bolt.topics.brokers.redis.url import parse_url
from tests.topics.brokers.redis.relay import relaying
from tests.topics.brokers.redis.valkey import Sentinels, Valkey, sentinels, wait_for


@pytest.mark.parametrize("host", [None, b""])
def test_a_node_that_does_not_say_its_name_is_the_one_that_was_asked(host: bytes | None) -> None:
    servers = ClusterServers(parse_url("redis+cluster://10.0.0.1:7000"), 1)
    servers._read([(("10.0.0.1", 7000), [0, REDIS_CLUSTER_HASH_SLOTS - 1, [host, 7001, b"id"]])])
    assert servers.locate(b"room:1") == ("10.0.0.1", 7001)


@pytest.fixture(scope="module")
def watched() -> Iterator[Sentinels]:
    with sentinels() as watched:
        yield watched


def test_a_service_that_no_sentinel_knows(watched: Sentinels) -> None:
    broker = make_broker(f"redis+sentinel://{watched.sentinel.address}/other", BoltSettings())
    for use in (broker.check, lambda: broker.publish(message("room:1"))):
        with pytest.raises(
            BrokerUnavailable, match=f"no sentinel at {watched.sentinel.address} names .* 'other'"
        ):
            use()
    asyncio.run(broker.stop())


def test_sentinel_names_the_primary_and_the_next(watched: Sentinels) -> None:
    url = f"redis+sentinel://127.0.0.1:1,{watched.sentinel.address}/main"
    broker = make_broker(url, BoltSettings())
    broker.check()
    with OtherProcess(url, BoltSettings()) as other:
        other.subscribe("room:1")
        broker.publish(message("room:1", "before"))
        assert other.data(1) == [b"before"]
        watched.primary.kill()
        wait_for(lambda: watched.is_promoted() and works(broker))
        wait_for(lambda: other.status().available)
        other.subscribe()
        broker.publish(message("room:1", "after"))
        assert other.data(1)[-1] == b"after"
    asyncio.run(broker.stop())


def works(broker: object) -> bool:
    """Whether publishing works."""
    try:
        broker.publish(message("elsewhere"))  # type: ignore[attr-defined]
    except BrokerUnavailable:
        return False
    return True


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost that vouches for itself, and its key."""
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
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
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, *names, "-keyout", key, "-out", chain], check=True, capture_output=True)
    return chain, key


def test_tls(lasting_server: Valkey, certificate: tuple[Path, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with relaying(lasting_server.port, context) as relay:
        url = f"rediss://localhost:{relay.port}?ssl_ca_certs={certificate[0]}"
        broker = make_broker(url, BoltSettings())
        broker.check()
        with OtherProcess(url, BoltSettings()) as other:
            other.subscribe("room:1")
            for _ in range(3):
                broker.publish(message("room:1", "x" * 100_000))
            assert other.data(3) == [b"x" * 100_000] * 3
        asyncio.run(broker.stop())
        # The name and the certificate are verified, unless one says otherwise.
        for wrong in (
            f"rediss://127.0.0.1:{relay.port}?ssl_ca_certs={certificate[0]}",
            url.partition("?")[0],
        ):
            with pytest.raises(BrokerUnavailable, match=r"(?i)certificate"):
                make_broker(wrong, BoltSettings()).check()
        make_broker(f"rediss://127.0.0.1:{relay.port}?ssl_cert_reqs=none", BoltSettings()).check()


@pytest.mark.parametrize("url", ["redis://a..b:6379", "rediss://127.0.0.1:1?ssl_ca_certs=/no/such/file"])
def test_what_the_library_does_not_expect(url: str) -> None:
    broker = make_broker(url, BoltSettings(broker_timeout=0.5))
    for use in (broker.check, lambda: broker.publish(message("room:1"))):
        with pytest.raises(BrokerUnavailable, match="is unavailable"):
            use()
    asyncio.run(broker.stop())


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1", "redis+sentinel://127.0.0.1:1/main", "redis+cluster://127.0.0.1:1"]
)
def test_the_check_says_what_cannot_be_reached(url: str) -> None:
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1") as raised:
        make_broker(url.replace("://", "://user:secret@"), BoltSettings()).check()
    assert "secret" not in str(raised.value)
