from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import override_settings

from django_bolt.exceptions import BrokerUnavailable
from django_bolt.topics.brokers.local import directory as module
from django_bolt.topics.brokers.local.directory import RuntimeDirectory, project_key


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def age(path: Path) -> None:
    """Let the last change be long ago."""
    past = time.time_ns() - 10 * module.SETTLED
    os.utime(path, ns=(past, past))


class TestMaking:
    def test_only_the_user_may_enter(self, temporary: Path) -> None:
        directory = RuntimeDirectory("key")
        directory.make()
        directory.make()
        assert directory.path == temporary / f"django_bolt-{os.getuid()}" / "key"
        for path in (directory.path, directory.path.parent):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700

    def test_a_base_is_used_as_it_is(self, temporary: Path) -> None:
        directory = RuntimeDirectory("key", temporary)
        directory.make()
        assert directory.path == temporary / "key"

    def test_a_base_that_is_missing(self, temporary: Path) -> None:
        with pytest.raises(BrokerUnavailable, match="No such file"):
            RuntimeDirectory("key", temporary / "missing").make()

    def test_a_link_is_not_followed(self, temporary: Path) -> None:
        (temporary / "elsewhere").mkdir(mode=0o700)
        (temporary / f"django_bolt-{os.getuid()}").symlink_to(temporary / "elsewhere")
        with pytest.raises(BrokerUnavailable, match="is not a directory"):
            RuntimeDirectory("key").make()
        assert list((temporary / "elsewhere").iterdir()) == []

    def test_a_file_in_its_place(self, temporary: Path) -> None:
        (temporary / f"django_bolt-{os.getuid()}").touch()
        with pytest.raises(BrokerUnavailable, match=r"File exists|is not a directory"):
            RuntimeDirectory("key").make()

    @pytest.mark.parametrize("mode", [0o750, 0o707])
    def test_others_must_not_enter(self, temporary: Path, mode: int) -> None:
        path = temporary / f"django_bolt-{os.getuid()}"
        path.mkdir()
        path.chmod(mode)
        with pytest.raises(BrokerUnavailable, match="must be 0700"):
            RuntimeDirectory("key").make()

    def test_another_user_s_directory_is_refused(
        self, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        directory = RuntimeDirectory("key", temporary)
        directory.make()
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        for use in (directory.make, directory.list_if_changed):
            with pytest.raises(BrokerUnavailable, match=r"belongs to user \d+, not to 12345"):
                use()


class TestListing:
    def test_without_the_directory_nobody_is_there(self) -> None:
        directory = RuntimeDirectory("key")
        assert directory.list_if_changed() == []
        assert directory.list_if_changed() is None
        directory.make()
        assert directory.list_if_changed() == []

    def test_names_are_listed_when_they_changed(self) -> None:
        directory = RuntimeDirectory("key")
        directory.make()
        (directory.path / "a").touch()
        (directory.path / ".hidden").touch()
        age(directory.path)
        assert directory.list_if_changed() == ["a"]
        assert directory.list_if_changed() is None
        directory.forget()
        assert directory.list_if_changed() == ["a"]
        (directory.path / "b").touch()
        assert sorted(directory.list_if_changed() or []) == ["a", "b"]

    def test_changes_within_one_tick_of_the_clock_are_seen(self) -> None:
        directory = RuntimeDirectory("key")
        directory.make()
        (directory.path / "a").touch()
        time_of_change = directory.path.stat().st_mtime_ns
        assert directory.list_if_changed() == ["a"]
        (directory.path / "b").touch()
        os.utime(directory.path, ns=(time_of_change, time_of_change))
        assert sorted(directory.list_if_changed() or []) == ["a", "b"]


class TestKey:
    def test_it_is_the_project_s(self) -> None:
        with override_settings(BASE_DIR="/srv/a"):
            key = project_key("")
            assert len(bytes.fromhex(key)) == 8
            assert project_key("") == key
            assert project_key("name") != key
        with override_settings(BASE_DIR="/srv/b"):
            assert project_key("") != key
        with override_settings(BASE_DIR="/srv/a", SECRET_KEY="another"):
            assert project_key("") != key

    def test_a_name_stands_for_the_directory(self) -> None:
        with override_settings(BASE_DIR="/srv/a"):
            key = project_key("name")
        with override_settings(BASE_DIR="/srv/b"):
            assert project_key("name") == key

    def test_links_to_the_project_do_not_matter(self, temporary: Path) -> None:
        (temporary / "real").mkdir()
        (temporary / "link").symlink_to(temporary / "real")
        with override_settings(BASE_DIR=temporary / "real"):
            key = project_key("")
        with override_settings(BASE_DIR=str(temporary / "link")):
            assert project_key("") == key


@pytest.mark.parametrize("in_place", [Path.touch, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_directory_on_the_way_is_an_outage(in_place: Callable[[Path], None]) -> None:
    directory = RuntimeDirectory("key")
    in_place(directory.path.parent)
    with pytest.raises(BrokerUnavailable, match="local://"):
        directory.list_if_changed()


def test_a_directory_that_goes_while_it_is_listed_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = RuntimeDirectory("key")
    directory.make()
    age(directory.path)

    def fail(path: str) -> list[str]:
        raise FileNotFoundError(2, "gone")

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", fail)
        with pytest.raises(BrokerUnavailable, match="gone"):
            directory.list_if_changed()
    assert directory.list_if_changed() == []
