"""What type checkers infer of parameters and dependencies; read by them, never run."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, assert_type

from django_bolt import BoltAPI, Cookie, Depends, Header, Path, Query, WebSocket


class Database: ...


@dataclass
class Pagination:
    page: Annotated[int, Query(ge=1)] = 1


def get_sync(page: int = 1) -> Database:
    return Database()


async def get_async() -> Database:
    return Database()


def get_iterator() -> Iterator[Database]:
    yield Database()


def get_generator() -> Generator[Database, None, None]:
    yield Database()


async def get_async_iterator() -> AsyncIterator[Database]:
    yield Database()


async def get_async_generator() -> AsyncGenerator[Database, None]:
    yield Database()


class Factory:
    def __call__(self, websocket: WebSocket) -> Database:
        return Database()


assert_type(Depends(get_sync), Database)
assert_type(Depends(get_async), Database)
assert_type(Depends(get_iterator), Database)
assert_type(Depends(get_generator), Database)
assert_type(Depends(get_async_iterator), Database)
assert_type(Depends(get_async_generator), Database)
assert_type(Depends(Factory()), Database)
assert_type(Depends(Pagination), Pagination)
assert_type(Depends(get_sync, use_cache=False), Database)
assert_type(Depends(), Any)

api = BoltAPI(dependencies=[Depends(get_sync)])


@api.websocket("/{room_id}", dependencies=[Depends(get_async)])
async def handler(  # noqa: PLR0917
    websocket: WebSocket,
    room_id: Annotated[int, Path(ge=1)],
    annotated: Annotated[Database, Depends(get_async_iterator)],
    pagination: Annotated[Pagination, Query()],
    default: Database = Depends(get_iterator),
    optional: Database | None = Depends(get_async),
    own: Pagination = Depends(),
    user_agent: Annotated[str | None, Header()] = None,
    session: Annotated[str, Cookie(alias="sessionid")] = "",
) -> None:
    assert_type(annotated, Database)
    assert_type(default, Database)
    assert_type(room_id, int)


wrong: int = Depends(get_async)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
"""A dependency of another type than the argument is an error."""

api.dependency_overrides[get_sync] = get_async
assert_type(handler.__name__, str)
