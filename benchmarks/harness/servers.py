"""The table of servers."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.environments import HERE, node_modules, python_of

SITES = HERE / "servers"
LOOPBACK = "127.0.0.1:{port}"
OF_THIS_PYTHON = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "DJANGO_SETTINGS_MODULE"}

PEER = frozenset({"echo", "broadcast", "binary", "json"})
JWT = frozenset({"jwt"})
DEFLATE = frozenset({"deflate"})
TOPIC = frozenset({"topic"})
WORKERS = frozenset({"workers"})


@dataclass(frozen=True)
class Server:
    """A server to measure.

    In its command, ``{port}`` stands for the port, ``{workers}`` for the number of processes that serve, ``{python}``
    for the interpreter of its environment, ``{binaries}`` for the directory of the Rust programs.
    """

    name: str
    command: str
    can: frozenset[str]
    environment: str | None = None
    directory: Path = SITES
    uses_node: bool = False
    notes: str = ""

    @cached_property
    def python(self) -> Path:
        """Its interpreter; made when it is first asked for."""
        return python_of(self.environment)

    def argv(self, port: int, workers: int, binaries: Path) -> list[str]:
        """Fill in the command."""
        values = {"port": port, "workers": workers, "binaries": binaries, "python": self.python}
        return [part.format(**values) for part in shlex.split(self.command)]

    def environ(self) -> dict[str, str]:
        """Return the variables to run it with; those that lead to another Python's packages are for its own only."""
        inherited = {
            k: v for k, v in os.environ.items() if self.environment is None or k not in OF_THIS_PYTHON
        }
        return {**inherited, "NODE_PATH": str(node_modules())} if self.uses_node else inherited


UVICORN = (
    "{python} -m uvicorn {app} --port {port} --workers {workers} --ws {ws} --loop uvloop --http httptools"
    " --no-access-log --log-level warning"
)
RUNBOLT = f"{{python}} manage.py runbolt {LOOPBACK} --noreload --workers {{workers}}"
WITH_VALKEY = "{python} " + str(SITES / "with_valkey.py")


def uvicorn(app: str, ws: str = "websockets") -> str:
    """Return the command of an application on uvicorn."""
    return UVICORN.replace("{app}", app).replace("{ws}", ws)


CHANNELS = "channels_site.asgi:application"
BOLT = PEER | JWT | DEFLATE | TOPIC | WORKERS | {"page"}

SERVERS = [
    Server("bolt", RUNBOLT, BOLT, directory=SITES / "bolt_site"),
    Server(
        "bolt-redis",
        f"{WITH_VALKEY} {RUNBOLT}",
        TOPIC | WORKERS,
        directory=SITES / "bolt_site",
        notes="the broker redis://, beside a Valkey of its own on the same core",
    ),
    Server(
        "django-bolt-0.13",
        "{python} manage.py runbolt --host 127.0.0.1 --port {port} --processes {workers} --no-admin",
        PEER | JWT | WORKERS,
        "django-bolt-0.13",
        SITES / "bolt_0_13_site",
        notes="from PyPI; needs Python 3.12",
    ),
    Server(
        "starlette",
        uvicorn("starlette_site:app"),
        PEER | JWT | DEFLATE | WORKERS,
        "starlette",
        notes="uvicorn, websockets",
    ),
    Server(
        "starlette-wsproto",
        uvicorn("starlette_site:app", "wsproto"),
        PEER | JWT | DEFLATE,
        "starlette",
        notes="uvicorn, wsproto",
    ),
    Server(
        "litestar",
        uvicorn("litestar_site:app"),
        PEER | JWT | DEFLATE | WORKERS,
        "litestar",
        notes="uvicorn, websockets",
    ),
    Server(
        "channels",
        uvicorn(CHANNELS),
        PEER | JWT | DEFLATE | TOPIC,
        "channels",
        notes="uvicorn, websockets; groups in memory",
    ),
    Server(
        "channels-redis",
        f"{WITH_VALKEY} {uvicorn(CHANNELS)}",
        TOPIC | WORKERS,
        "channels",
        notes="uvicorn; channels_redis pub/sub, beside a Valkey of its own on the same core",
    ),
    Server(
        "channels-daphne",
        f"{{python}} -m daphne --bind 127.0.0.1 --port {{port}} --verbosity 0 {CHANNELS}",
        PEER | JWT | TOPIC,
        "channels",
        notes="Daphne; groups in memory",
    ),
    Server(
        "granian",
        "{python} -m granian --interface rsgi --host 127.0.0.1 --port {port} --workers {workers} --loop uvloop"
        " --log-level warning granian_site:app",
        PEER | JWT | WORKERS,
        "granian",
        notes="RSGI, uvloop",
    ),
    Server("aiohttp", "{python} aiohttp_site.py {port}", PEER | JWT | DEFLATE, "aiohttp", notes="uvloop"),
    Server("picows", "{python} picows_site.py {port}", PEER | JWT, "picows", notes="uvloop; callbacks"),
    Server(
        "socketify",
        "{python} socketify_site.py {port}",
        PEER | JWT | DEFLATE | TOPIC,
        "socketify",
        notes="callbacks",
    ),
    Server(
        "node-ws",
        "node node/server.js {port}",
        PEER | JWT | DEFLATE,
        uses_node=True,
        notes="Node; callbacks",
    ),
    Server(
        "django-uvicorn",
        uvicorn("bolt_site.asgi:application"),
        frozenset({"page"}),
        directory=SITES / "bolt_site",
        notes="the Django site of bolt on uvicorn alone",
    ),
    Server(
        "limit",
        f"{{binaries}}/bolt-limit {LOOPBACK} --prefix 'Echo: '",
        PEER | TOPIC,
        notes="Rust, without Python, checks and timers",
    ),
]
MAIN = ["bolt", "django-bolt-0.13", "starlette", "channels", "picows", "limit"]
