"""The public names of each package exist, and are listed in order."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest


@pytest.mark.parametrize("package", ["django_bolt", "django_bolt.auth"])
def test_public_names_exist_and_are_sorted(package: str) -> None:
    module = import_module(package)
    assert module.__all__ == sorted(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize(
    "name",
    ["BoltAPI", "WebSocket", "WebSocketDisconnect", "WebSocketState", "CloseCode", "WebSocketException"],
)
def test_names_of_the_specification_are_importable_from_the_package(name: str) -> None:
    assert name in import_module("django_bolt").__all__


def test_importing_the_package_needs_neither_settings_nor_the_native_module() -> None:
    program = (
        "import sys, django_bolt, django_bolt.auth\n"
        "from django.conf import settings\n"
        "print(settings.configured, 'django_bolt._core' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.split() == ["False", "False"]
