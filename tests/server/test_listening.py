from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from django_bolt.server.listening import (
    CAN_BALANCE,
    Address,
    UnixAddress,
    bind,
    bind_unix,
    bind_worker,
    detect_dead_peers,
    reserve,
)

ANY = Address("127.0.0.1", 0)


def at(listener: socket.socket) -> Address:
    return Address("127.0.0.1", listener.getsockname()[1])


def test_urls() -> None:
    assert Address("127.0.0.1", 8000).url("http") == "http://127.0.0.1:8000/"
    assert Address("::1", 8000, ipv6=True).url("https") == "https://[::1]:8000/"
    assert UnixAddress("/run/site.sock").url("http") == "http+unix:///run/site.sock"


def test_a_bound_socket_listens_and_does_not_block() -> None:
    with bind(ANY) as listener:
        assert not listener.getblocking()
        with pytest.raises(BlockingIOError):
            listener.accept()
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            accepted.close()


def test_a_port_that_is_taken() -> None:
    with bind(ANY) as listener:
        with pytest.raises(OSError, match="in use") as caught:
            bind(at(listener))
        assert caught.value.errno == errno.EADDRINUSE


def test_a_port_can_be_had_again_at_once() -> None:
    with bind(ANY) as listener:
        address = at(listener)
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        accepted.close()  # Our side closes first and is left in TIME_WAIT.
        client.close()
    bind(address).close()


def test_ipv6() -> None:
    try:
        listener = bind(Address("::1", 0, ipv6=True))
    except OSError:
        pytest.skip("no IPv6 here")
    with listener, socket.create_connection(listener.getsockname()[:2]):
        assert listener.family == socket.AF_INET6


@pytest.mark.skipif(not CAN_BALANCE, reason="the system does not spread connections over sockets")
class TestWorkers:
    def test_a_reserved_port_is_shared_by_workers(self) -> None:
        holder, address = reserve(ANY)
        with holder:
            assert address.port == holder.getsockname()[1] != 0
            with bind_worker(address) as one, bind_worker(address) as two:
                assert one.getsockname() == two.getsockname()
                for _ in range(20):
                    socket.create_connection(one.getsockname()).close()
                # The holder does not listen: it gets none of them.
                assert sum(_accepted(listener) for listener in (one, two)) == 20

    def test_reserving_alone_does_not_listen(self) -> None:
        holder, address = reserve(ANY)
        with holder, socket.socket() as client:
            assert client.connect_ex((address.host, address.port)) == errno.ECONNREFUSED

    def test_a_port_that_another_server_has_cannot_be_reserved(self) -> None:
        with bind(ANY) as listener, pytest.raises(OSError, match="in use"):
            reserve(at(listener))

    def test_a_port_that_other_workers_share_cannot_be_reserved(self) -> None:
        holder, address = reserve(ANY)
        with holder, bind_worker(address), pytest.raises(OSError, match="in use"):
            reserve(address)


def _accepted(listener: socket.socket) -> int:
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


class TestUnixSockets:
    def test_everybody_may_connect(self, tmp_path: Path) -> None:
        path = tmp_path / "site.sock"
        with bind(UnixAddress(str(path))) as listener, socket.socket(socket.AF_UNIX) as client:
            assert not listener.getblocking()
            client.connect(str(path))
            assert stat.S_IMODE(path.stat().st_mode) == 0o666

    def test_what_a_dead_server_left_is_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "site.sock"
        bind_unix(UnixAddress(str(path))).close()
        assert path.exists()
        with bind_unix(UnixAddress(str(path))):
            pass

    def test_a_living_server_is_left_alone(self, tmp_path: Path) -> None:
        address = UnixAddress(str(tmp_path / "site.sock"))
        with bind_unix(address), pytest.raises(OSError, match="in use"):
            bind_unix(address)
        assert os.path.exists(address.path)

    def test_a_living_server_that_accepts_nobody_is_not_waited_for(self, tmp_path: Path) -> None:
        path = str(tmp_path / "site.sock")
        with ExitStack() as stack:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(path)
            listener.listen(0)
            with contextlib.suppress(BlockingIOError):
                while True:
                    client = stack.enter_context(socket.socket(socket.AF_UNIX))
                    client.setblocking(False)
                    client.connect(path)
            with pytest.raises(OSError, match="in use"):
                bind_unix(UnixAddress(path))
        assert os.path.exists(path)

    def test_a_file_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "precious"
        path.write_text("data")
        with pytest.raises(OSError, match="in use"):
            bind_unix(UnixAddress(str(path)))
        assert path.read_text() == "data"


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="options of Linux")
@pytest.mark.parametrize(
    ("interval", "timeout", "expected"),
    [
        (20, 20, (20, 7, 3, 40_000)),
        (0.3, 0.3, (1, 1, 3, 600)),
        (10_000_000, 10_000_000, (32_767, 32_767, 3, 2**31 - 1)),
    ],
)
def test_accepted_sockets_ask_whether_their_peer_is_dead(
    interval: float, timeout: float, expected: tuple[int, ...]
) -> None:
    with bind(Address("127.0.0.1", 0)) as listener:
        detect_dead_peers(listener, interval, timeout)
        listener.setblocking(True)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            names = (
                socket.TCP_KEEPIDLE,
                socket.TCP_KEEPINTVL,
                socket.TCP_KEEPCNT,
                socket.TCP_USER_TIMEOUT,
            )
            assert tuple(accepted.getsockopt(socket.IPPROTO_TCP, name) for name in names) == expected


def test_unix_sockets_need_no_such_question() -> None:
    with TemporaryDirectory(prefix="bolt") as folder, bind(UnixAddress(f"{folder}/socket")) as listener:
        detect_dead_peers(listener, 20, 20)
        assert not listener.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
