"""One endpoint for each type that a parameter may have, in the query and in the path."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from django_bolt import BoltAPI, Cookie, Header, Path, Query, WebSocket

parameters_api = BoltAPI(prefix="/parameters")


class Colour(Enum):
    """Values that are text."""

    RED = "red"
    BLUE = "blue"


class Priority(IntEnum):
    """Values that are numbers."""

    LOW = 1
    HIGH = 2


KINDS: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "uuid": UUID,
    "date": date,
    "datetime": datetime,
    "decimal": Decimal,
    "enum": Colour,
    "int-enum": Priority,
    "literal": Literal["asc", "desc"],
    "int-literal": Literal[1, 2],
    "optional-int": int | None,
    "optional-str": str | None,
    "optional-date": date | None,
}


async def answer(websocket: WebSocket, *values: Any) -> None:
    """Accept and send how the values look."""
    await websocket.accept()
    await websocket.send_text(", ".join(map(repr, values)))


def declare(kind: str, annotation: Any) -> None:
    """Declare the two endpoints of a type."""

    @parameters_api.websocket(f"/query/{kind}")
    async def from_query(websocket: WebSocket, value: annotation):  # type: ignore[valid-type]
        await answer(websocket, value)

    @parameters_api.websocket(f"/path/{kind}/{{value}}")
    async def from_path(websocket: WebSocket, value: annotation):  # type: ignore[valid-type]
        await answer(websocket, value)


for _kind, _annotation in KINDS.items():
    declare(_kind, _annotation)


@parameters_api.websocket("/defaults")
async def defaults(
    websocket: WebSocket,
    number: int = 7,
    text: str = "none",
    since: date | None = None,
    colour: Colour = Colour.BLUE,
    tags: list[str] | None = None,
):
    await answer(websocket, number, text, since, colour, tags)


@parameters_api.websocket("/list")
async def required_list(websocket: WebSocket, numbers: list[int]):
    await answer(websocket, numbers)


@parameters_api.websocket("/list/of-enum")
async def enum_list(websocket: WebSocket, colours: list[Colour] = []):  # noqa: B006 - never changed
    await answer(websocket, colours)


@parameters_api.websocket("/rest/{rest:path}")
async def rest_of_path(websocket: WebSocket, rest: str):
    await answer(websocket, rest)


@parameters_api.websocket("/two/{first}/{second}")
async def two(websocket: WebSocket, first: str, second: int, third: int):
    await answer(websocket, first, second, third)


@parameters_api.websocket("/two/fixed/{second}")
async def fixed(websocket: WebSocket, second: str):
    await answer(websocket, "fixed", second)


@parameters_api.websocket("/sources/{room}")
async def sources(
    websocket: WebSocket,
    room: Annotated[int, Path(ge=1)],
    page: Annotated[int, Query(alias="p", ge=1, le=9)] = 1,
    user_agent: Annotated[str, Header(max_length=20)] = "unknown",
    x_version: Annotated[int | None, Header()] = None,
    theme: Annotated[Literal["dark", "light"], Cookie(alias="site-theme")] = "light",
):
    await answer(websocket, room, page, user_agent, x_version, theme)


class Filters(msgspec.Struct):
    """Several query parameters."""

    search: Annotated[str, Query(alias="q", min_length=2)]
    colours: list[Colour] = []
    since: date | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10


@dataclass
class Client:
    """Several header fields."""

    x_version: int
    x_platform: str = "unknown"


@parameters_api.websocket("/groups")
async def groups(websocket: WebSocket, filters: Filters, client: Annotated[Client, Header()]):
    await answer(websocket, filters, client)
