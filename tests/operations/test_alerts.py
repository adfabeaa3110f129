"""Alerts and dashboard: they can be read, name metrics that there are, fire for what they say."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from api.core import metrics
from tests.support.api import Api
from tests.support.draining import draining
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "verbatim.rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "verbatim.json"

#: Series of a stack that is well, a value for every 5 s, as promtool writes them.
WELL: Final = {
    'up{job="verbatim", instance="a"}': "1x200",
    "verbatim_broker_up": "1x200",
    "verbatim_standby_up": "1x100 0x100",
    'verbatim_standby_reads_total{by="standby"}': "0+10x100 1000x100",
    "verbatim_workers": "2x200",
    "verbatim_backlog_entries": "3x200",
    "verbatim_backlog_oldest_seconds": "0.1x200",
    "verbatim_committed_total": "0+500x200",
    "verbatim_dead_letters_total": "7x200",
    "verbatim_log_went_back": "0x200",
    "verbatim_unbalanced_partitions": "0x200",
    "verbatim_redis_replicas_missing": "0x200",
    "verbatim_redis_memory_ratio": "0.4x200",
    'verbatim_refused_total{reason="overload"}': "4x200",
    'verbatim_refused_total{reason="quota"}': "0+9x200",
    'verbatim_accept_seconds_bucket{le="0.1"}': "0+100x200",
    'verbatim_accept_seconds_bucket{le="0.2"}': "0+100x200",
    'verbatim_accept_seconds_bucket{le="+Inf"}': "0+100x200",
    'verbatim_lag_seconds_bucket{le="1.0"}': "0+100x200",
    'verbatim_lag_seconds_bucket{le="2.0"}': "0+100x200",
    'verbatim_lag_seconds_bucket{le="+Inf"}': "0+100x200",
}
#: What is different for the first minutes where an alert must fire, and then is well again.
FAULTS: Final[Mapping[str, Mapping[str, str]]] = {
    "VerbatimApiGone": {'up{job="verbatim", instance="a"}': "0x23 1x200"},
    "VerbatimLogSilent": {"verbatim_backlog_entries": "_x23 3x200"},
    "VerbatimBrokerDown": {"verbatim_broker_up": "0x23 1x200"},
    "VerbatimWorkerGone": {"verbatim_workers": "0x23 2x200"},
    "VerbatimNothingDrains": {
        "verbatim_backlog_oldest_seconds": "0+5x23 0x200",
        "verbatim_committed_total": "500x23 500+500x200",
    },
    "VerbatimBacklogOld": {"verbatim_backlog_oldest_seconds": "0+5x23 0x200"},
    "VerbatimDeadLetters": {"verbatim_dead_letters_total": "7 8x200"},
    "VerbatimUnbalanced": {"verbatim_log_went_back": "1x23 0x200"},
    "VerbatimReplicaMissing": {"verbatim_redis_replicas_missing": "1x23 0x200"},
    "VerbatimRedisFull": {"verbatim_redis_memory_ratio": "0.65x23 0.3x200"},
    "VerbatimLogSlow": {
        'verbatim_accept_seconds_bucket{le="0.1"}': "0+90x23 2070+100x200",
        'verbatim_accept_seconds_bucket{le="0.2"}': "0+100x23 2300+100x200",
    },
    "VerbatimRefusing": {'verbatim_refused_total{reason="overload"}': "0+1x23 23x200"},
}
#: Tickets, which take their time.
LATE: Final[Mapping[str, Mapping[str, str]]] = {
    "VerbatimLagHigh": {
        'verbatim_lag_seconds_bucket{le="1.0"}': "0+90x96 8640+100x200",
        'verbatim_lag_seconds_bucket{le="2.0"}': "0+100x96 9600+100x200",
    },
    "VerbatimStandbyAway": {"verbatim_standby_up": "0x100 1x100"},
}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def promtool(*arguments: str) -> None:
    program = shutil.which("promtool")
    assert program, "there is no promtool: `make system-deps` installs Debian's"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def fires(rule: dict[str, Any], at: str) -> dict[str, Any]:
    of_reason = {"reason": "overload"} if "by (reason)" in rule["expr"] else {}
    fired = {"exp_labels": rule["labels"] | of_reason, "exp_annotations": rule["annotations"]}
    return {"eval_time": at, "alertname": rule["alert"], "exp_alerts": [fired]}


def is_quiet(rule: dict[str, Any], at: str) -> dict[str, Any]:
    return {"eval_time": at, "alertname": rule["alert"], "exp_alerts": []}


def case(series: Mapping[str, str], expected: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "interval": "5s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": expected,
    }


def cases() -> Iterator[dict[str, Any]]:
    known = {rule["alert"]: rule for rule in rules()}
    assert known.keys() == FAULTS.keys() | LATE.keys(), "an alert has no test, or a test no alert"
    # The first samples show no rate yet, and a query at 0 s no history.
    yield case(WELL, [is_quiet(rule, at) for rule in known.values() for at in ("1m", "8m", "16m")])
    for name, fault in FAULTS.items():
        yield case({**WELL, **fault}, [fires(known[name], "60s"), is_quiet(known[name], "8m")])
    # Either of what it says fires it.
    lost = {**WELL, "verbatim_unbalanced_partitions": "1x23 0x200"}
    yield case(lost, [fires(known["VerbatimUnbalanced"], "60s")])
    # What is merely slow does drain.
    slow = {**WELL, **FAULTS["VerbatimBacklogOld"]}
    yield case(slow, [is_quiet(known["VerbatimNothingDrains"], "60s")])
    for name, fault in LATE.items():
        yield case({**WELL, **fault}, [fires(known[name], "8m"), is_quiet(known[name], "16m")])


def test_each_alert_fires_within_a_minute_and_clears_and_none_fires_when_all_is_well(
    tmp_path: Path,
) -> None:
    file = tmp_path / "cases.yml"
    file.write_text(
        yaml.safe_dump(
            {
                "rule_files": [str(RULES)],
                "evaluation_interval": "5s",
                "tests": list(cases()),
            }
        )
    )

    promtool("test", "rules", str(file))


def test_the_configuration_of_prometheus_can_be_read(tmp_path: Path) -> None:
    for file in RULES.parent.iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "metrics-token").touch()

    promtool("check", "config", str(tmp_path / "prometheus.yml"))


def test_each_alert_leads_to_a_chapter_of_the_manual() -> None:
    for rule in rules():
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        headings = re.findall(r"^## (.+)$", (ROOT / path).read_text(), re.MULTILINE)
        assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_alerts_and_dashboard_ask_for_metrics_that_there_are(api: Api) -> None:
    with api.client() as client:
        shown = client.get("/metrics").text
    # Shown where there is a standby.
    standby = metrics.standby_families(is_used=True, lag_seconds=0, answered=0, passed_over=0)
    shown += metrics.exposition(standby).decode()
    # What has a label is shown from its first value on.
    known = set(re.findall(r"^# TYPE (verbatim_\w+)", shown, re.MULTILINE))
    known |= {f"{name}_{part}" for name in known for part in ("bucket", "sum", "count")}

    for asked in (*(rule["expr"] for rule in rules()), *queries()):
        named = set(re.findall(r"\bverbatim_\w+", asked))
        assert named or "up{" in asked
        assert named <= known, asked


def test_the_queries_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    asked = [query.replace("$__rate_interval", "1m") for query in queries()]
    recorded = [{"record": f"query{number}", "expr": expr} for number, expr in enumerate(asked)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))

    promtool("check", "rules", str(file))


def test_metrics_say_in_how_many_partitions_the_books_do_not_balance(api: Api) -> None:
    def unbalanced() -> str:
        with closing(api.client()) as client:
            text = client.get("/metrics").text
        (value,) = re.findall(r"^verbatim_unbalanced_partitions (\S+)$", text, re.MULTILINE)
        return str(value)

    api.log.note_audit([3, 5])
    assert unbalanced() == "2.0"

    # A worker finds that they do.
    api.log.redis.delete(api.log.key(0, "audited"))
    with draining(api.settings):
        eventually(lambda: unbalanced() == "0.0")
