"""The examples of the README of `clients/python`: each a program, and what it prints."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "clients" / "python"

_EXAMPLE = re.compile(r"^```python\n(.*?)^```\n+```text\n(.*?)^```", re.MULTILINE | re.DOTALL)
_EXAMPLES = _EXAMPLE.findall((PACKAGE / "README.md").read_text())

#: Those of the adapters need their frameworks: `make test-clients` runs them.
OF_FRAMEWORKS = [example for example in _EXAMPLES if "verbatim_client." in example[0]]
OF_THE_CLIENT = [example for example in _EXAMPLES if example not in OF_FRAMEWORKS]
