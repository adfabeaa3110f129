"""What docs/contract.md and the OpenAPI document say of each call, in one form."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.routing import Mount, Route

PAGE = (Path(__file__).parents[2] / "docs" / "contract.md").read_text()
_METHODS = {"get", "post", "put", "patch", "delete"}

#: A call: its method, and its path with `{}` for each parameter.
Call = tuple[str, str]


def call_of(method: str, path: str) -> Call:
    return method.lower(), re.sub(r"\{\w+\}", "{}", path)


@dataclass(frozen=True, slots=True)
class Row:
    """One call of the page, with the cells beside it."""

    call: Call
    request: str
    answer: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the OpenAPI document."""

    known: dict[str, Any]
    schemas: dict[str, Any]

    def parameters(self, where: str) -> set[str]:
        found = self.known.get("parameters", [])
        return {one["name"] for one in found if one["in"] == where}

    def request(self) -> dict[str, Any]:
        """Return the schema of the body; empty where none is taken."""
        body = self.known.get("requestBody", {}).get("content", {}).get("application/json", {})
        return self._found(body.get("schema", {}))

    def answer(self) -> dict[str, Any]:
        """Return the schema of the answer; empty where it is not JSON."""
        content = self.known["responses"][min(self.statuses())].get("content", {})
        return self._found(content.get("application/json", {}).get("schema", {}))

    def statuses(self) -> set[str]:
        return set(self.known["responses"])

    def _found(self, schema: dict[str, Any]) -> dict[str, Any]:
        for one in (schema, *schema.get("anyOf", [])):
            if name := one.get("$ref", "").rpartition("/")[2]:
                return dict(self.schemas[name])
        return {}


def rows() -> list[Row]:
    """Return the calls of the page's tables."""
    found = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for method, path in re.findall(r"`([A-Z]+) (/[^`]*)`", cells[0] if cells else ""):
            _, request, answer = cells
            found.append(Row(call_of(method, path), request, answer))
    return found


def operations_of(document: dict[str, Any]) -> dict[Call, Operation]:
    """Return the calls of an OpenAPI document."""
    return {
        call_of(method, path): Operation(operation, document["components"]["schemas"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def hidden(app: FastAPI) -> set[Call]:
    """Return the calls that the OpenAPI document leaves out: pages, files and itself."""
    found: set[Call] = set()
    for route in app.routes:
        if isinstance(route, Mount):
            found.add(("get", f"{route.path}/{{}}"))
        elif isinstance(route, Route) and not getattr(route, "include_in_schema", False):
            found |= {call_of(method, route.path) for method in route.methods or ()}
    # A list's path without its last slash is the same call.
    same = {(method, path.removesuffix("/")) for method, path in operations_of(app.openapi())}
    return {call for call in found - same if call[0] in _METHODS}


def objects_of(text: str) -> list[str]:
    """Return each `{…}` of a text."""
    return re.findall(r"`(\{[^`]*\})`", text)


def names(fields: str) -> set[str]:
    """Return the names of `{a, b?, c: "x" | "y"}`."""
    inner = fields.strip("{}")
    return {part.partition(":")[0].strip().rstrip("?") for part in inner.split(",") if part}


def optional_names(fields: str) -> set[str]:
    return {name for name in names(fields) if f"{name}?" in fields}
