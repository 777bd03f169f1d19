"""The tables of servers and scenarios fit together."""

from __future__ import annotations

import jwt
from harness import scenarios, servers
from harness.environments import REQUIREMENTS
from harness.scenarios import SCENARIOS, token
from harness.servers import SERVERS
from harness.targets import CEILINGS, TARGETS


def test_names_are_unique() -> None:
    for table in (SERVERS, SCENARIOS):
        assert len({row.name for row in table}) == len(table)


def test_every_scenario_has_a_server_and_every_server_a_scenario() -> None:
    for scenario in SCENARIOS:
        assert any(scenario.requirements() <= server.can for server in SERVERS), scenario.name
    for server in SERVERS:
        assert any(scenario.requirements() <= server.can for scenario in SCENARIOS), server.name


def test_targets_and_main_rows_name_what_there_is() -> None:
    names = {server.name for server in SERVERS}, {scenario.name for scenario in SCENARIOS}
    assert set(servers.MAIN) <= names[0]
    assert set(scenarios.MAIN) <= names[1]
    for target in TARGETS:
        assert {target.server, target.other} <= names[0]
        assert {target.scenario, target.other_scenario or target.scenario} <= names[1]
    assert {ceiling.scenario for ceiling in CEILINGS} <= names[1]


def test_what_takes_minutes_is_measured_once() -> None:
    once = {scenario.name for scenario in SCENARIOS if scenario.once}
    assert once == {"idle-10000-heartbeats", "echo-1-of-10000", "fanout-10000"}


def test_requirements_are_pinned() -> None:
    for server in SERVERS:
        if server.environment:
            lines = (REQUIREMENTS / f"{server.environment}.txt").read_text(encoding="utf-8").splitlines()
            assert all("==" in line for line in lines if not line.startswith("#")), server.environment


def test_token_is_one_that_any_library_takes() -> None:
    claims = jwt.decode(token(), scenarios.SECRET, algorithms=["HS256"])
    assert claims["user_id"] == 42
    assert claims["sub"] == "42"
