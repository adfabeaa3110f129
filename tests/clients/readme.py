"""The examples of the README of `clients/python`: each a program, and what it prints."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "clients" / "python"

_EXAMPLE = re.compile(r"^```python\n(.*?)^```\n+```text\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ADAPTER = re.compile(r"^from verbatim_client\.(\w+) import", re.MULTILINE)
_EXAMPLES = _EXAMPLE.findall((PACKAGE / "README.md").read_text())

#: Those of the adapters need their frameworks: `make test-clients` runs them.
OF_FRAMEWORKS = [
    (adapter[1], program, output)
    for program, output in _EXAMPLES
    if (adapter := _ADAPTER.search(program))
]
OF_THE_CLIENT = [example for example in _EXAMPLES if not _ADAPTER.search(example[0])]
