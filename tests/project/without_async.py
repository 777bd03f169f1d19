"""Endpoints of coroutines, turned into endpoints of plain functions by taking ``async`` and ``await`` away.

That this makes the same endpoints is what `SyncWebSocket` promises; the conformance tests run on both.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from django_bolt import BoltAPI


class WithoutAsync(ast.NodeTransformer):
    """Takes ``async`` and ``await`` away, and writes `SyncWebSocket` for `WebSocket`."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.FunctionDef:
        """Write ``def``."""
        self.generic_visit(node)
        return ast.copy_location(ast.FunctionDef(**dict(ast.iter_fields(node))), node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.For:
        """Write ``for``."""
        self.generic_visit(node)
        return ast.copy_location(ast.For(**dict(ast.iter_fields(node))), node)

    def visit_Await(self, node: ast.Await) -> ast.expr:
        """Write the call alone."""
        self.generic_visit(node)
        return node.value

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """Write `SyncWebSocket`, and ``next`` for ``anext``."""
        names = {"WebSocket": "SyncWebSocket", "anext": "next"}
        return ast.copy_location(ast.Name(names.get(node.id, node.id), node.ctx), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        """Import `SyncWebSocket`, too."""
        if node.module == "django_bolt":
            node.names.append(ast.alias("SyncWebSocket"))
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        """Write ``time.sleep`` for ``asyncio.sleep``."""
        self.generic_visit(node)
        if ast.unparse(node) == "asyncio.sleep":
            return ast.copy_location(ast.Attribute(ast.Name("time", ast.Load()), "sleep", node.ctx), node)
        return node


def without_async(module: ModuleType, *, keep: frozenset[str]) -> ModuleType:
    """Return a copy of a module in which handlers are plain functions.

    Args:
        module: It, with endpoints.
        keep: Names of functions that mean something else as plain functions; they are left out.
    """
    path = Path(module.__file__ or "")
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if getattr(node, "name", None) not in keep]
    tree = ast.fix_missing_locations(WithoutAsync().visit(tree))
    tree.body.insert(2, ast.parse("import time").body[0])  # behind ``from __future__``
    copy = sys.modules[f"{module.__name__}_without_async"] = ModuleType(f"{module.__name__}_without_async")
    exec(compile(ast.unparse(tree), f"<{path.name} without async>", "exec", dont_inherit=True), vars(copy))
    return copy


def endpoints_left_out(api: BoltAPI, copy: BoltAPI) -> BoltAPI:
    """Return an API with the endpoints of `api` that its copy lacks."""
    rest = BoltAPI()
    copied = {endpoint.path for endpoint in copy.endpoints}
    for endpoint in api.endpoints:
        if endpoint.path not in copied:
            register: Callable[[Any], Any] = rest.websocket(
                endpoint.path, auth=endpoint.auth, guards=endpoint.guards
            )
            register(endpoint.handler)
    return rest
