"""The examples of docs/use-it-from.md, by who runs each of them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "use-it-from.md"
_SECTION: Final = re.compile(r"^## (.*?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXTRA: Final = re.compile(r"^from verbatim_client\.(\w+) import", re.MULTILINE)
_NPM: Final = re.compile(r"^import .* from \"(?!@verbatim/)(.*)\";$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """An example, and what it prints: `…` stands for what differs."""

    heading: str
    language: str
    program: str
    output: str

    @property
    def module(self) -> str | None:
        """The module of an extra of `verbatim-client` that it needs, if it does."""
        found = _EXTRA.search(self.program)
        return found and found[1]

    @property
    def packages(self) -> list[str]:
        """What it needs from npm."""
        return _NPM.findall(self.program) if self.language == "js" else []

    def prints(self, output: str) -> bool:
        """Tell whether this is what it should print."""
        pattern = ".*?".join(map(re.escape, self.output.rstrip().split("…")))
        return re.fullmatch(pattern, output.rstrip()) is not None


def _examples() -> list[Example]:
    found = []
    for heading, text in _SECTION.findall(PAGE.read_text()):
        (language, program), *rest = _BLOCK.findall(text)
        output = "".join(shown for _, shown in rest)
        assert [kind for kind, _ in rest] in ([], ["text"]), heading
        found.append(Example(heading, language, program, output))
    return found


EXAMPLES: Final = _examples()
#: They need a framework, packages of npm, an MCP SDK: `make test-clients` runs them.
OF_EXTRAS: Final = [one for one in EXAMPLES if one.module is not None]
OF_NPM: Final = [one for one in EXAMPLES if one.packages and "@verbatim/" not in one.program]
#: Likewise, on both majors of the AI SDK.
OF_AI_SDK: Final = [one for one in EXAMPLES if one.packages and one not in OF_NPM]
(OF_MCP,) = (one for one in EXAMPLES if one.language == "json")
#: tests/browser runs it.
(OF_PAGES,) = (one for one in EXAMPLES if one.language == "html")
_DEAR = (*OF_EXTRAS, *OF_NPM, *OF_AI_SDK, OF_MCP, OF_PAGES)
#: They need no more than other tests.
CHEAP: Final = [one for one in EXAMPLES if one not in _DEAR]
