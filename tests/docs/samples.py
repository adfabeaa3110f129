"""The README's conversation: its `curl` commands, sent to a real server, and what it shows of them.

A sample shows an answer as comments below its command. `…` stands for what is left out: the end of
a text, or more fields of an object.
"""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

README = (Path(__file__).parents[2] / "README.md").read_text()
_SECTION = README.partition("\n## A conversation with it\n")[2].partition("\n## ")[0]

#: Fields whose values differ from run to run: ids, times, secrets.
_VARYING = re.compile(r"(^|_)id$|Id$|From$|^timestamp$|_at$|_token$")
_LEFT_OUT = "…"


@dataclass(frozen=True, slots=True)
class Sample:
    """A command, and the answer that is shown below it."""

    command: str
    answer: str


@dataclass(slots=True)
class Alike:
    """Compares answers, and knows which real value stands for which shown one."""

    real_of: dict[str, Any] = field(default_factory=dict)

    def check(self, shown: Any, real: Any, name: str = "") -> None:
        """Raise AssertionError unless both have the same fields, types and lasting values."""
        assert type(shown) is type(real), name
        if isinstance(shown, dict):
            whole = shown.keys() - {_LEFT_OUT}
            known = [key for key in real if key in whole]
            assert [key for key in shown if key != _LEFT_OUT] == known, name
            assert (_LEFT_OUT in shown) == (known != list(real)), name
            for key in known:
                self.check(shown[key], real[key], key)
        elif isinstance(shown, list):
            assert len(shown) == len(real), name
            for one, other in zip(shown, real, strict=True):
                self.check(one, other, name)
        elif isinstance(shown, str) and shown.endswith(_LEFT_OUT):
            assert real.startswith(shown.removesuffix(_LEFT_OUT)), name
        elif _VARYING.search(name):
            assert self.real_of.setdefault(str(shown), real) == real, name
        else:
            assert shown == real, name

    def fill(self, command: str) -> str:
        """Return a command with the real values for those that were shown before."""
        for shown, real in self.real_of.items():
            if len(shown) > 2:  # not the account's id, 1
                command = command.replace(shown, str(real))
        return command


def samples() -> list[Sample]:
    """Return the samples of the README, in order."""
    found = []
    for block in re.findall(r"^```sh\n(.*?)^```", _SECTION, flags=re.MULTILINE | re.DOTALL):
        for command, answer in re.findall(r"((?:^[^#\n].*\n)+)((?:^#.*\n)+)", block, re.MULTILINE):
            found.append(Sample(command, re.sub(r"^# ?", "", answer, flags=re.MULTILINE)))
    return found


def shown_json(text: str) -> Any:
    """Read JSON of the README: over several lines, and with fields left out."""
    return json.loads(re.sub(r",\s*…(?=[,}])", f', "{_LEFT_OUT}": ""', text.replace("\n", "")))


def events(text: str) -> list[dict[str, Any]]:
    """Read server-sent events, all deltas as one: how many they are is a matter of time."""
    found: list[dict[str, Any]] = []
    for block in text.strip().split("\n\n"):
        event: dict[str, Any] = dict(line.split(": ", 1) for line in block.splitlines())
        event["data"] = shown_json(event["data"])
        if event["event"] == "delta" and found and found[-1]["event"] == "delta":
            found[-1]["data"]["text"] += event["data"]["text"]
            found[-1]["offset"] = event.pop("id")
        else:
            found.append({("offset" if key == "id" else key): event[key] for key in event})
    return found


def send(command: str, base: str, token: str, key: str = "") -> httpx.Response:
    """Send what a `curl` command would. Raises ValueError for an option that it does not know."""
    line = command.replace("\\\n", " ").replace("$B", base).replace("$TOKEN", token)
    line = line.replace("$KEY", key)
    curl, *words = shlex.split(line)
    request: dict[str, Any] = {"method": "", "url": "", "headers": {}, "content": None}
    arguments = iter(words)
    for word in arguments:
        match word:
            case "-N":  # curl shows each event as it comes
                continue
            case "-X":
                request["method"] = next(arguments)
            case "-d":
                request["content"] = next(arguments).encode()
            case "-H":
                name, _, value = next(arguments).partition(": ")
                request["headers"][name] = value
            case _ if word.startswith("-") or request["url"]:
                raise ValueError(f"{curl} {word} is not one of those that are known here")
            case _:
                request["url"] = word
    request["method"] = request["method"] or ("GET" if request["content"] is None else "POST")
    return httpx.request(**request, timeout=60)
