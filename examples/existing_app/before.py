"""The application before: each message is a row that the request waits for."""

import os
from datetime import UTC, datetime

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel
from sqlmodel import Field, Session, SQLModel, col, create_engine, select

from examples.existing_app import people
from examples.existing_app.people import Me


class Chat(SQLModel, table=True):
    """One person's chat."""

    id: int | None = Field(default=None, primary_key=True)
    person_id: int = Field(foreign_key="person.id", index=True)
    title: str


class ChatMessage(SQLModel, table=True):
    """One message of a chat."""

    id: int | None = Field(default=None, primary_key=True)
    chat_id: int = Field(foreign_key="chat.id", index=True)
    role: str
    content: str
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Said(BaseModel):
    """A new message."""

    role: str
    content: str


class Titled(BaseModel):
    """A new chat."""

    title: str


def create() -> FastAPI:
    """Make the application from its environment."""
    app = FastAPI()
    app.state.engine = create_engine(os.environ["DATABASE_URL"])
    app.state.token_secret = os.environ["TOKEN_SECRET"]
    SQLModel.metadata.create_all(app.state.engine)
    app.include_router(people.router)

    @app.post("/chats", status_code=201)
    def open_chat(said: Titled, me: Me, request: Request) -> dict[str, int | None]:
        chat = Chat(person_id=me, title=said.title)
        with Session(request.app.state.engine) as session:
            session.add(chat)
            session.commit()
            return {"id": chat.id}

    @app.get("/chats")
    def chats(me: Me, request: Request) -> list[dict[str, object]]:
        with Session(request.app.state.engine) as session:
            mine = session.exec(select(Chat).where(Chat.person_id == me).order_by(col(Chat.id)))
            return [{"id": chat.id, "title": chat.title} for chat in mine]

    @app.post("/chats/{chat}/messages", status_code=201)
    def say(chat: int, said: Said, me: Me, request: Request) -> None:
        with Session(request.app.state.engine) as session:
            known = session.get(Chat, chat)
            if known is None or known.person_id != me:
                raise HTTPException(404, "there is no such chat")
            session.add(ChatMessage(chat_id=chat, role=said.role, content=said.content))
            session.commit()

    @app.get("/chats/{chat}/messages")
    def messages(chat: int, me: Me, request: Request) -> list[Said]:
        with Session(request.app.state.engine) as session:
            known = session.get(Chat, chat)
            if known is None or known.person_id != me:
                raise HTTPException(404, "there is no such chat")
            wanted = select(ChatMessage).where(ChatMessage.chat_id == chat)
            found = session.exec(wanted.order_by(col(ChatMessage.id)))
            return [Said(role=one.role, content=one.content) for one in found]

    return app
