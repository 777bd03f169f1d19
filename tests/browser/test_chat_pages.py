"""The chat example without a browser: its own tests, checks, migrations and demo data."""

from __future__ import annotations

import pytest

from .conftest import ChatSite

pytestmark = pytest.mark.timeout(120)


def test_the_example_passes_its_own_tests(chat_files: ChatSite) -> None:
    assert "OK" in chat_files.manage("test", "--verbosity", "0")


def test_the_example_passes_the_system_checks(chat_files: ChatSite) -> None:
    assert "no issues" in chat_files.manage("check")


def test_the_migrations_fit_the_models(chat_files: ChatSite) -> None:
    assert "No changes" in chat_files.manage("makemigrations", "--check", "--dry-run")


def test_seeding_again_changes_nothing(chat_files: ChatSite) -> None:
    printed = chat_files.manage("seed_demo")
    assert "there already" in printed
    assert "created" not in printed
