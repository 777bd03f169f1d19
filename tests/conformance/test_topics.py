"""Topics in one process, on a live server and on a `TestClient`."""

from __future__ import annotations

from tests.conformance.sites import Session, Site, wait_until


def join(session: Session) -> None:
    """Wait until the room's endpoint has subscribed its client."""
    assert str(session.receive()).startswith("joined ")


def test_a_room(site: Site) -> None:
    members = [site.connect("/ws/topics/room/1") for _ in range(3)]
    stranger = site.connect("/ws/topics/room/2")
    for session in (*members, stranger):
        join(session)
    for number, member in enumerate(members):
        member.send(f"from {number}")
        assert [other.receive() for other in members] == [f"from {number}"] * 3
    stranger.send("alone")
    assert stranger.receive() == "alone"


def test_who_leaves_is_forgotten(site: Site) -> None:
    staying, leaving, vanishing = (site.connect("/ws/topics/others/1") for _ in range(3))
    for session in (staying, leaving, vanishing):
        assert session.receive() == "joined"
    leaving.close()
    vanishing.vanish()

    def receivers() -> object:
        staying.send("anybody?")
        return staying.receive_json()["receivers"]

    wait_until(receivers, (0).__eq__)


def test_the_sender_can_be_left_out(site: Site) -> None:
    first, second = site.connect("/ws/topics/others/2"), site.connect("/ws/topics/others/2")
    assert first.receive() == second.receive() == "joined"
    first.send(b"\x00\xff")
    assert second.receive() == b"\x00\xff"
    assert first.receive_json() == {"receivers": 1, "accepted": True}


def test_patterns_filters_and_transformations(site: Site) -> None:
    session = site.connect("/ws/topics/orders")
    assert session.receive_json() == ["orders.*", "large"]
    for command in ('["orders.1", {"n": 1}]', '["order", 2]', '["large", 100]', '["large", 101]'):
        session.send(command)
    assert session.receive_json() == {"n": 1}
    assert session.receive_json() == {"doubled": 202}
    session.send('["unsubscribe", ["orders.*"]]')
    assert session.receive_json() == ["large"]
    session.send('["orders.1", "nobody gets it"]')
    session.send('["unsubscribe", []]')
    assert session.receive_json() == []


def test_a_client_cannot_name_a_pattern(site: Site) -> None:
    member = site.connect("/ws/topics/room/1")
    join(member)
    intruder = site.connect("/ws/topics/room/*")
    code, _ = intruder.wait_closed()
    assert code == 1008
    member.send("among us")
    assert member.receive() == "among us"
    assert "Traceback" not in site.output()
