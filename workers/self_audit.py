"""Audits the books while there is work, so that metrics tell whether they balance.

`verbatim audit` does the same for people. A database that may sleep is left asleep: without
drains there is no audit, and nothing that could get lost on its way.
"""

import logging
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Engine

from api.core.audit import audit
from api.core.failures import describe
from api.core.log import Log

logger = logging.getLogger(__name__)

#: How long somebody else may hold a partition: drains are not to wait for it.
WAIT_SECONDS: Final = 1


class SelfAudit:
    """Audits all partitions, twice a minute whichever worker does it."""

    def __init__(self, log: Log, engine: Engine) -> None:
        self._log = log
        self._engine = engine

    def run(self) -> None:
        """Audit if it is time to, and note in the log what was found.

        Fails without an exception: it is done again half a minute later.
        """
        try:
            if self._log.wants_audit():
                self._log.note_audit(self._unbalanced())
        except Exception as error:  # noqa: BLE001 - the drain, which runs it, must go on
            logger.warning("the books were not audited: %s", describe(error))

    def _unbalanced(self) -> Sequence[int]:
        balances = audit(self._log, self._engine, WAIT_SECONDS)
        wrong = [balance.partition for balance in balances if not balance.balanced]
        if wrong:
            logger.error("partitions %s do not balance: see `verbatim audit`", wrong)
        return wrong
