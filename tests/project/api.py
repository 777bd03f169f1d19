"""The endpoints of the test project, where ``runbolt`` finds them by itself."""

from __future__ import annotations

from tests.project.dependencies_api import dependencies_api
from tests.project.identity_api import identity_api
from tests.project.outcomes_api import outcomes_api
from tests.project.parameters_api import parameters_api
from tests.project.probe_api import probe_api
from tests.project.spec_api import room_chat_api, specification_api
from tests.project.surface_api import surface_api
from tests.project.topics_api import topics_api
from tests.project.typed_api import typed_api

__all__ = [
    "dependencies_api",
    "identity_api",
    "outcomes_api",
    "parameters_api",
    "probe_api",
    "room_chat_api",
    "specification_api",
    "surface_api",
    "topics_api",
    "typed_api",
]
