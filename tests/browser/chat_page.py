"""What a visitor does and sees on a page of the chat example."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


def enter_as(page: Page, name: str) -> None:
    """Choose a name in the dialog and wait until the room is open."""
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Enter the room").click()
    expect_online(page)


def log_in(page: Page, username: str, password: str) -> None:
    """Fill in Django's log-in form."""
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("main").get_by_role("button", name="Log in").click()


def expect_online(page: Page, timeout: int = 10_000) -> None:
    """Wait until the page says that it is connected."""
    expect(page.get_by_role("status")).to_have_text("Online", timeout=timeout)


def say(page: Page, words: str) -> None:
    """Send a message with the Enter key."""
    page.get_by_label("Message", exact=True).fill(words)
    page.get_by_label("Message", exact=True).press("Enter")


def messages(page: Page) -> Locator:
    """The texts of the messages, in the order shown."""
    return page.get_by_role("log").locator(".text")


def people(page: Page) -> Locator:
    """The names in the list of who is here."""
    return page.get_by_role("list", name="Here now").locator("bdi")
