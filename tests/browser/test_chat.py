"""The chat example as two people see it, in a real browser against ``runbolt``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .chat_page import enter_as, expect_online, log_in, messages, people, say
from .conftest import ChatSite, Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]  # the first test starts browser and server too

PHONE = {"width": 390, "height": 760}
RECONNECT_TIMEOUT = 30_000  # milliseconds: twice the longest delay of the page


def test_two_people_meet_and_talk(visit: Visit, artifacts: Path) -> None:
    ada, bob = visit("/rooms/coffee/"), visit("/rooms/coffee/")
    enter_as(ada, "Ada")
    expect(people(ada)).to_have_text(["Ada"])
    enter_as(bob, "Bob")
    expect(people(ada)).to_have_text(["Ada", "Bob"])
    expect(people(bob)).to_have_text(["Ada", "Bob"])

    said = ["Good morning!", "Morning, Ada. Is there any coffee left?", "Half a pot. Be quick."]
    say(ada, said[0])
    expect(messages(bob)).to_have_text(said[:1])
    say(bob, said[1])
    expect(messages(ada)).to_have_text(said[:2])
    say(ada, said[2])
    expect(messages(bob)).to_have_text(said)
    ada.screenshot(path=artifacts / "chat-room.png")

    bob.context.close()
    expect(people(ada)).to_have_text(["Ada"])
    expect(ada.get_by_role("log")).to_contain_text("Bob left")


def test_a_latecomer_sees_what_was_said(visit: Visit) -> None:
    ada = visit("/rooms/music/")
    enter_as(ada, "Ada")
    say(ada, "Nina Simone")
    say(ada, "all day long")
    expect(messages(ada)).to_have_text(["Nina Simone", "all day long"])
    bob = visit("/rooms/music/")
    enter_as(bob, "Bob")
    expect(messages(bob)).to_have_text(["Nina Simone", "all day long"])


def test_a_name_is_remembered_and_can_be_changed(visit: Visit) -> None:
    page = visit("/rooms/coffee/")
    enter_as(page, "Grace")
    page.reload()
    expect_online(page)
    expect(people(page)).to_contain_text(["Grace"])
    page.get_by_role("button", name="Change name").click()
    enter_as(page, "Amazing Grace")
    expect(people(page)).to_have_text(["Amazing Grace"])


def test_what_people_write_is_never_markup(visit: Visit) -> None:
    page = visit("/rooms/django/")
    trap = "<img src=x onerror=\"document.title = 'caught'\">"
    enter_as(page, "<b>Mallory</b>")
    say(page, trap)
    expect(messages(page)).to_have_text([trap])
    expect(people(page)).to_have_text(["<b>Mallory</b>"])
    expect(page.get_by_role("log").locator("img")).to_have_count(0)
    expect(page).to_have_title(re.compile("Django questions"))


def test_the_server_does_not_trust_the_page(visit: Visit) -> None:
    page = visit("/rooms/django/")
    enter_as(page, "Eve")
    page.get_by_label("Message", exact=True).evaluate("box => box.removeAttribute('maxlength')")
    say(page, "x" * 501)
    expect(page.get_by_role("alert")).to_have_text("A message has 1 to 500 characters.")
    expect(messages(page).filter(has_text="xxx")).to_have_count(0)

    page.evaluate("localStorage.setItem('name', 'x'.repeat(25))")
    page.reload()
    expect(page.get_by_role("status")).to_have_text("Disconnected")
    expect(page.get_by_role("alert")).to_have_text("A name has 1 to 24 characters.")


def test_new_messages_do_not_move_a_reader(visit: Visit) -> None:
    ada, bob = visit("/rooms/music/", viewport={"width": 900, "height": 420}), visit("/rooms/music/")
    enter_as(ada, "Ada")
    enter_as(bob, "Bob")
    tracks = [f"Track {number}" for number in range(12)]
    for track in tracks:
        say(bob, track)
    # All of them: one that came after the scrolling would be another new message.
    expect(messages(ada)).to_have_text(tracks)
    expect(messages(ada).last).to_be_in_viewport()
    log = ada.get_by_role("log")
    log.evaluate("log => { log.scrollTop = 0 }")
    say(bob, "One more")
    newer = ada.get_by_role("button", name="1 new message")
    expect(newer).to_be_visible()
    assert log.evaluate("log => log.scrollTop") == 0
    expect(ada).to_have_title(re.compile(r"^\(1\)"))
    newer.click()
    expect(ada.get_by_text("One more")).to_be_in_viewport()
    expect(newer).to_be_hidden()


def test_the_list_of_rooms_counts_live(visit: Visit, artifacts: Path) -> None:
    index = visit("/")
    card = index.get_by_role("link", name="Coffee corner")
    expect(card).not_to_contain_text("here")
    page = visit("/rooms/coffee/")
    enter_as(page, "Ada")
    expect(card).to_contain_text("1 here")
    index.screenshot(path=artifacts / "chat-index.png")
    page.context.close()
    expect(card).not_to_contain_text("here")


def test_the_staff_lounge_wants_a_log_in(visit: Visit, artifacts: Path) -> None:
    demo, admin = visit("/"), visit("/rooms/staff/")
    demo.get_by_role("link", name="Staff lounge").click()
    expect(demo).to_have_url(re.compile(r"/login/\?next=/rooms/staff/$"))
    demo.screenshot(path=artifacts / "chat-login.png")
    log_in(demo, "demo", "wrong")
    expect(demo.get_by_role("alert")).to_contain_text("do not match")
    log_in(demo, "demo", "demo")
    log_in(admin, "admin", "admin")
    expect_online(demo)
    expect_online(admin)
    expect(people(demo)).to_have_text(["admin", "demo"])
    say(demo, "Just us here")
    expect(messages(admin)).to_have_text(["Just us here"])
    say(admin, "As it should be")
    expect(messages(demo)).to_have_text(["Just us here", "As it should be"])


def test_who_logs_out_leaves_the_staff_lounge(visit: Visit) -> None:
    lounge = visit("/rooms/staff/")
    log_in(lounge, "demo", "demo")
    expect_online(lounge)
    elsewhere = lounge.context.new_page()
    elsewhere.goto("/")
    elsewhere.get_by_role("button", name="Log out").click()
    expect(lounge).to_have_url(re.compile(r"/login/\?next=/rooms/staff/$"))


def test_a_stranger_gets_no_socket_to_the_staff_lounge(visit: Visit) -> None:
    page = visit("/")
    outcome = page.evaluate(
        """() => new Promise((resolve) => {
            const socket = new WebSocket(`ws://${location.host}/ws/members/staff`);
            socket.onopen = () => resolve("open");
            socket.onclose = () => resolve("closed");
        })"""
    )
    assert outcome == "closed"


def test_the_state_shows_when_the_server_goes_and_comes_back(
    chat: ChatSite, visit: Visit, artifacts: Path
) -> None:
    page = visit("/rooms/django/")
    enter_as(page, "Linus")
    say(page, "Before")
    expect(messages(page).last).to_have_text("Before")
    try:
        assert chat.stop() == 0
        expect(page.get_by_role("status")).to_have_text("Offline, reconnecting…")
        expect(page.get_by_role("button", name="Send")).to_be_disabled()
        page.screenshot(path=artifacts / "chat-offline.png")
    finally:
        chat.start()
    expect_online(page, RECONNECT_TIMEOUT)
    say(page, "After")
    expect(messages(page).last).to_have_text("After")
    expect(messages(page).filter(has_text="Before")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_every_page_fits_its_screen(visit: Visit, artifacts: Path, scheme: str, size: str) -> None:
    options: dict[str, object] = {"color_scheme": scheme}
    if size == "phone":
        options |= {"viewport": PHONE, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
    page = visit("/rooms/coffee/", **options)
    page.screenshot(path=artifacts / f"chat-name-{size}-{scheme}.png")
    enter_as(page, "Margaret")
    unbroken = "https://example.org/" + "a-long-address" * 10
    say(page, "Did anybody see the moon last night?\nI have a picture:")
    say(page, unbroken)
    expect(messages(page).last).to_have_text(unbroken)
    page.screenshot(path=artifacts / f"chat-room-{size}-{scheme}.png")
    assert overflow(page) <= 0
    page.goto("/")
    expect(page.get_by_role("listitem")).to_have_count(4)
    page.screenshot(path=artifacts / f"chat-index-{size}-{scheme}.png")
    assert overflow(page) <= 0


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the screen."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_a_command_speaks_in_a_room(chat: ChatSite, visit: Visit) -> None:
    ada = visit("/rooms/coffee/")
    enter_as(ada, "Ada")
    assert "Said in Coffee corner." in chat.manage("say", "coffee", "Fresh cake!", "--name", "Kitchen")
    expect(messages(ada)).to_have_text(["Fresh cake!"])
    expect(ada.get_by_role("log").locator(".author")).to_have_text(["Kitchen"])


def test_the_admin_writes_and_corrects_live(visit: Visit) -> None:
    ada, page = visit("/rooms/coffee/"), visit("/admin/")
    enter_as(ada, "Ada")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("admin")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()
    page.goto("/admin/rooms/message/add/")
    page.get_by_label("Room").select_option(label="Coffee corner")
    page.get_by_label("Author").fill("Admin")
    page.get_by_label("Text").fill("Closed at sicks")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(messages(ada)).to_have_text(["Closed at sicks"])
    page.get_by_label("Text").fill("Closed at six")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(messages(ada)).to_have_text(["Closed at six"])
