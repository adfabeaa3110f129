"""`verbatim audit`: the balance of each partition, and whether the log ever lost what it knew."""

from datetime import UTC, datetime

from sqlalchemy import Engine

from api.cli import terminal
from api.core.audit import audit
from api.core.log import Log


def report(log: Log, engine: Engine) -> bool:
    """Print the balances; return whether every entry that was ever accepted is accounted for."""
    balances = audit(log, engine)
    table = terminal.make_table(
        "partition", "accepted", "applied", "dead", "discarded", "pending", "unaccounted", left=0
    )
    for balance in balances:
        table.add_row(
            str(balance.partition),
            "closed" if balance.accepted is None else str(balance.accepted),
            *map(str, (balance.applied, balance.dead, balance.discarded, balance.pending)),
            "" if balance.balanced else str((balance.accepted or 0) - balance.accounted),
        )
    terminal.print_table(table)
    went_back_at_ms = log.went_back_at_ms()
    if went_back_at_ms:
        at = datetime.fromtimestamp(went_back_at_ms / 1000, UTC)
        terminal.print_line(
            "audit",
            f"THE LOG WENT BACK: on {at:%Y-%m-%d at %H:%M:%S} UTC it began anew, or had lost "
            "entries. What it had accepted before and PostgreSQL did not have is lost, and in no "
            "count. `verbatim audit --acknowledge` takes it as known",
        )
    wrong = [str(balance.partition) for balance in balances if not balance.balanced]
    if wrong:
        terminal.print_line("audit", f"DOES NOT BALANCE in partition {', '.join(wrong)}")
    if wrong or went_back_at_ms:
        return False
    total = sum(balance.accepted or 0 for balance in balances)
    terminal.print_line("audit", f"balances: {total} entries accepted, all accounted for")
    return True
