"""The application after: its people and tokens are its own, its chats are at Verbatim.

A chat from before keeps its number, a new one gets Verbatim's, which is 2**41 or more.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel
from sqlmodel import SQLModel, create_engine

from examples.existing_app import people
from examples.existing_app.people import Me

NEW_FROM: Final = 2**41
NAME: Final = "app:"  # as `verbatim import` names them
PAGE: Final = 100


class Said(BaseModel):
    """A new message."""

    role: str
    content: str


class Titled(BaseModel):
    """A new chat."""

    title: str


def create() -> FastAPI:
    """Make the application from its environment."""
    verbatim = httpx.AsyncClient(
        base_url=os.environ["VERBATIM_URL"],
        headers={"Authorization": f"Bearer {os.environ['VERBATIM_KEY']}"},
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with verbatim:
            yield

    app = FastAPI(lifespan=lifespan)
    app.state.engine = create_engine(os.environ["DATABASE_URL"])
    app.state.token_secret = os.environ["TOKEN_SECRET"]
    SQLModel.metadata.create_all(app.state.engine)
    app.include_router(people.router)

    async def ask(method: str, path: str, me: int, **more: Any) -> Any:
        """Ask Verbatim in somebody's name: it shows and takes nothing of anybody else's."""
        more["headers"] = {"Verbatim-User": str(me), **more.get("headers", {})}
        answer = await verbatim.request(method, path, **more)
        if answer.is_error:
            raise HTTPException(answer.status_code, answer.json()["detail"], _retry(answer))
        return answer.json()

    @app.post("/chats", status_code=201)
    async def open_chat(said: Titled, me: Me, request: Request) -> dict[str, int]:
        body = {"title": said.title}
        opened = await ask("POST", "/api/conversations/", me, json=body, headers=_key(request))
        return {"id": opened["id"]}

    @app.get("/chats")
    async def chats(me: Me) -> list[dict[str, object]]:
        asked = {"sort": "created_at", "order": "asc", "limit": PAGE}
        page = await ask("GET", "/api/conversations/", me, params=asked)
        found = page["conversations"]
        while page["next_cursor"]:
            asked["cursor"] = page["next_cursor"]
            page = await ask("GET", "/api/conversations/", me, params=asked)
            found += page["conversations"]
        return [{"id": _number(one), "title": one["title"]} for one in found]

    @app.post("/chats/{chat}/messages", status_code=201)
    async def say(chat: int, said: Said, me: Me, request: Request) -> dict[str, int]:
        path = f"/api/conversations/{_named(chat)}/messages"
        added = await ask("POST", path, me, json=said.model_dump(), headers=_key(request))
        return {"id": added["id"]}

    @app.get("/chats/{chat}/messages")
    async def messages(chat: int, me: Me, read_after: int = 0) -> list[Said]:
        path = f"/api/conversations/{_named(chat)}/messages"
        asked = {"limit": PAGE, "after": 0} | ({"read_after": read_after} if read_after else {})
        page = (await ask("GET", path, me, params=asked))["messages"]
        found = page
        while len(page) == PAGE:
            asked["after"] = page[-1]["position"]
            page = (await ask("GET", path, me, params=asked))["messages"]
            found = found + page
        return [Said(role=one["role"], content=one["content"]) for one in found]

    return app


def _named(chat: int) -> str:
    return f"ext:{NAME}{chat}" if chat < NEW_FROM else str(chat)


def _number(conversation: dict[str, Any]) -> int:
    name = conversation["external_id"] or ""
    return int(name.removeprefix(NAME)) if name.startswith(NAME) else int(conversation["id"])


def _key(request: Request) -> dict[str, str]:
    """Pass a client's own key on, so that what it sends twice is stored once."""
    key = request.headers.get("Idempotency-Key")
    return {"Idempotency-Key": key} if key else {}


def _retry(answer: httpx.Response) -> dict[str, str]:
    wait = answer.headers.get("Retry-After")
    return {"Retry-After": wait} if wait else {}
