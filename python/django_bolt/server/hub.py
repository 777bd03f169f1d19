"""The native core as the engine of topics."""

from __future__ import annotations

from django_bolt import _core
from django_bolt.topics.hub import Hub

__all__ = ["NativeHub"]


class NativeHub(_core.Hub, Hub):
    """A `Hub` on the native core, whose methods come first: a publication passes through no Python of ours."""

    def interest_changed(self, topic: str, wanted: bool) -> None:
        """Tell the broker of the first subscriber of a topic, and of the end of the last one."""
        Hub.interest_changed(self, topic, wanted)
