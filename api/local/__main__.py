"""Run a whole stack: `python -m api.local`."""

import sys

from api.local.runner import main

sys.exit(main())
