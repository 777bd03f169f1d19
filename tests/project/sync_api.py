"""The endpoints of the test project as plain functions, on the same paths.

Coroutines stay where a plain function would be another endpoint: what cancels, what does two things at a time, and
what loops over a set that other threads change meanwhile.
"""

from __future__ import annotations

from tests.project import outcomes_api, spec_api, surface_api
from tests.project.probe_api import probe_api  # noqa: F401 - served
from tests.project.without_async import endpoints_left_out, without_async

COROUTINES = frozenset(
    {"broadcast", "concurrent", "timeout", "sleeps", "attempt", "states", "states_own_close"}
)

room_chat_api = spec_api.room_chat_api
specification_api = without_async(spec_api, keep=COROUTINES).specification_api
specification_rest = endpoints_left_out(spec_api.specification_api, specification_api)
outcomes = without_async(outcomes_api, keep=COROUTINES).outcomes_api
outcomes_rest = endpoints_left_out(outcomes_api.outcomes_api, outcomes)
surface = without_async(surface_api, keep=COROUTINES).surface_api
surface_rest = endpoints_left_out(surface_api.surface_api, surface)
