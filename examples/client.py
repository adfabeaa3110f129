"""A client for Verbatim, to copy: `python client.py http://127.0.0.1:8000 USERNAME PASSWORD`."""

import json
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx

#: Seconds between two attempts, and answers that are worth another one.
WAITS = (0.1, 0.5, 1, 2, 5)
TRY_AGAIN = {429, 502, 503, 504}


class Verbatim:
    """One signed-in user. When the access token is over (401), make a new one."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=30)
        tokens = self.write("/auth/login", {"username": username, "password": password})
        self.http.headers["Authorization"] = f"Bearer {tokens['access_token']}"

    def write(self, path: str, body: object = None) -> Any:
        """POST until the outcome is known; the key makes all attempts one write."""
        key = {"Idempotency-Key": str(uuid.uuid4())}
        for wait in WAITS:
            with suppress(httpx.TransportError):  # it may have been accepted, or not
                response = self.http.post(path, json=body, headers=key)
                if response.status_code not in TRY_AGAIN:
                    return response.raise_for_status().json()
            time.sleep(wait)
        raise TimeoutError(path)

    def read(self, path: str, *entry_ids: int) -> Any:
        """GET what includes the writes that answered these ids."""
        return self.http.get(path, params={"read_after": entry_ids}).raise_for_status().json()

    def stream(self, session: str, message: str) -> Iterator[str]:
        """Yield an assistant's answer as it is made; after a cut, go on where it stopped."""
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Accept": "text/event-stream"}
        request: dict[str, Any] = {"method": "POST", "url": f"/api/chat/{session}/message"}
        request |= {"json": {"message": message}, "headers": headers}
        for wait in WAITS:
            with suppress(httpx.TransportError):
                for event in self._events(request):
                    data = json.loads(event["data"])
                    if event["event"] == "end":
                        return
                    if event["event"] == "error":
                        raise RuntimeError(data["detail"])
                    if event["event"] == "delta":
                        headers["Last-Event-ID"] = event["id"]
                        yield data["text"]
                    if event["event"] == "start":  # the message is accepted: its turn has a name
                        url = f"/api/chat/{session}/stream?turn={data['messageId']}"
                        request = {"method": "GET", "url": url, "headers": headers}
            time.sleep(wait)
        raise TimeoutError(session)

    def _events(self, request: dict[str, Any]) -> Iterator[dict[str, str]]:
        with self.http.stream(**request) as response:
            if response.status_code in TRY_AGAIN:
                return
            response.raise_for_status()
            event: dict[str, str] = {}
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if name:
                    event[name] = value
                elif "event" in event:
                    yield event
                    event = {}


def main(url: str, username: str, password: str) -> None:
    """Write a message, read it back, and have the assistant answer another one."""
    me = Verbatim(url, username, password)
    chat = me.write("/api/chat/start")
    messages = f"/api/conversations/{chat['conversationId']}/messages"
    noted = me.write(messages, {"role": "user", "content": "Buy milk"})
    for message in me.read(messages, noted["id"])["messages"]:
        print(f"{message['position']} {message['role']}: {message['content']}")
    for piece in me.stream(chat["sessionId"], "What did I say?"):
        print(piece, end="", flush=True)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
