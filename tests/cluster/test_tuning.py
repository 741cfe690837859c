"""Tuning as a data scientist uses it: a study finds what is best, whatever is killed meanwhile, and what it found stands in MySQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from modules.ml.tuning.config import ACCOUNT
from modules.ml.tuning.inside.plan import STUDY, TRIAL
from sandbox.places import CHECKOUT
from tests.live import TIMEOUT, Live, Object, Pod, Tenant, unique
from tests.pages import examples

pytestmark = pytest.mark.training

TOLERANCE = 0.5
"""How far from the best, whose loss is 0, the example's twenty trials may end."""

TRIALS = """
import json, pathlib, ssl, sys, pymysql
binding = {file.name: file.read_text() for file in pathlib.Path("/bindings/mysql").iterdir() if file.is_file()}
try:
    connection = pymysql.connect(host=binding["host"], port=int(binding["port"]), user=binding["username"], password=binding["password"],
                                 database=binding["database"] + "_tuning", ssl=ssl.create_default_context(cafile="/bindings/mysql/ca.crt"))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT number, state, value, trial_id FROM studies JOIN trials USING (study_id) LEFT JOIN trial_values USING (trial_id) "
                       "WHERE study_name = %s ORDER BY number", sys.argv[1])
        rows = [list(row) for row in cursor.fetchall()]
        for row in rows:
            cursor.execute("SELECT param_name, param_value FROM trial_params WHERE trial_id = %s", row[3])
            row[3] = dict(cursor.fetchall())
except (pymysql.err.OperationalError, pymysql.err.ProgrammingError) as error:
    assert error.args[0] in (1044, 1049, 1146), error  # the study has not made its schema yet
    rows = []
print(json.dumps(rows))
"""


@dataclass(frozen=True)
class Row:
    """A trial as MySQL has it."""

    number: int
    state: str
    value: float | None
    parameters: dict[str, float]


@dataclass(frozen=True)
class Running:
    """A study that was submitted, and a pod of its tenant that asks MySQL."""

    live: Live
    tenant: Tenant
    name: str
    desk: Pod

    @property
    def where(self) -> str:
        return f"--namespace={self.tenant.namespace}"

    def rows(self) -> list[Row]:
        """Its trials."""
        return [Row(*each) for each in self.desk.told(TRIALS, self.name)]

    def ended(self, count: int) -> list[Row]:
        """Its trials, once so many have succeeded."""

        def enough() -> list[Row]:
            found = self.rows()
            return found if sum(each.state == "COMPLETE" for each in found) >= count else []

        found: list[Row] = self.live.eventually(f"{count} trials of {self.name} have succeeded", enough)
        return found

    def pods(self, selector: str) -> list[Object]:
        """Running pods of it."""
        found = self.live.items("pods", self.where, f"-l{selector}", "--field-selector=status.phase=Running")
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def kill(self, selector: str) -> Object:
        """Take one of its running pods away without a word; gives what it was."""
        pod: Object = self.live.eventually(f"a pod {selector} runs", lambda: self.pods(selector))[0]
        self.live.gone(pod["metadata"]["name"], self.tenant.namespace)
        return pod


def study(tenant: Tenant, **trial: Any) -> dict[str, Any]:
    """The page's example, as a study of the tenant, with other fields of its trial."""
    found: dict[str, Any] = yaml.safe_load(examples("tuning", "yaml", room="")[0])
    return {**found, "name": unique("valley"), "tenant": tenant.name, "trial": {**found["trial"], **trial}}


@contextmanager
def submitted(live: Live, tenant: Tenant, wanted: dict[str, Any], folder: Path) -> Iterator[Running]:
    """A study, submitted as the page says, for as long as the body runs."""
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(wanted, sort_keys=False))
    with live.client(tenant, "mysql", memory="64Mi", cpu="100m") as desk:
        done = subprocess.run(
            [sys.executable, "-m", "stacks.study", "submit", str(file), "--profile", "local"],
            cwd=CHECKOUT, env={**os.environ, "KUBECONFIG": str(live.kubeconfig)}, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = Running(live, tenant, wanted["name"], desk)
        try:
            yield found
        finally:
            live.try_kubectl("delete", "job", found.name, found.where, "--wait=false")


class TestStudy:
    def test_the_pages_study_finds_the_best_whatever_is_killed_meanwhile(
        self, live: Live, tenants: tuple[Tenant, Tenant], tmp_path: Path
    ) -> None:
        wanted = study(tenants[0])
        program = wanted["trial"]["command"][-1]
        wanted["trial"]["command"][-1] = f"import time\ntime.sleep(3)\n{program}"
        with submitted(live, tenants[0], wanted, tmp_path) as running:
            running.ended(2)
            victim = running.kill(f"{STUDY}={running.name},{TRIAL}")
            lost = int(victim["metadata"]["labels"][TRIAL])
            running.ended(5)
            running.kill(f"{STUDY}={running.name},!{TRIAL}")
            for count in (8, 12, 16, 20):
                rows = running.ended(count)
            live.kubectl("wait", running.where, "--for=condition=Complete", f"job/{running.name}", TIMEOUT)
            said = live.kubectl("logs", running.where, f"job/{running.name}", "--tail=1")
        assert [each.number for each in rows] == list(range(len(rows)))
        assert [each.number for each in rows if each.state == "FAIL"] == [lost], "nothing else was lost"
        assert sum(each.state == "COMPLETE" for each in rows) == 20
        again = [each for each in rows if each.parameters == rows[lost].parameters]
        assert [each.state for each in again] == ["FAIL", "COMPLETE"], "it was tried again, once"
        best = min(rows, key=lambda each: each.value if each.value is not None else float("inf"))
        assert best.value is not None
        assert best.value <= TOLERANCE
        told = json.loads(said)
        assert (told["trials"], told["best"]["trial"], told["best"]["loss"]) == (20, best.number, best.value)
        assert told["best"]["parameters"]["optimizer"] == "adam"

    def test_a_study_whose_program_fails_is_given_up(
        self, live: Live, tenants: tuple[Tenant, Tenant], tmp_path: Path
    ) -> None:
        wanted = study(tenants[1], command=["sh", "-c", "exit 7"]) | {"max_failed": 2, "parallel_trials": 1}
        with submitted(live, tenants[1], wanted, tmp_path) as running:
            conditions = live.eventually(
                "it failed",
                lambda: [
                    each
                    for each in live.get("job", running.name, running.where)["status"].get("conditions", [])
                    if each["type"] == "Failed"
                ],
            )
            said = live.kubectl("logs", running.where, f"job/{running.name}")
            rows = running.rows()
        assert conditions[0]["reason"] == "PodFailurePolicy"
        assert "trial 0 ended with exit code 7" in said
        assert [each.state for each in rows] == ["FAIL", "FAIL"]


def test_a_drivers_account_may_run_trials_in_its_namespace_and_nothing_else(
    live: Live, tenants: tuple[Tenant, Tenant]
) -> None:
    own, other = tenants
    whose = f"--as=system:serviceaccount:{own.namespace}:{ACCOUNT}"

    def may(verb: str, kind: str, tenant: Tenant) -> str:
        kind, _, part = kind.partition("/")
        words = (
            "auth",
            "can-i",
            verb,
            kind,
            f"--subresource={part}",
            whose,
            f"--namespace={tenant.namespace}",
        )
        return live.try_kubectl(*words).stdout.strip()

    granted = (
        ("create", "jobs"),
        ("delete", "jobs"),
        ("list", "jobs"),
        ("list", "pods"),
        ("get", "pods/log"),
    )
    assert {may(verb, kind, own) for verb, kind in granted} == {"yes"}
    assert {may(verb, kind, other) for verb, kind in granted} == {"no"}
    denied = (
        ("create", "pods"),
        ("get", "secrets"),
        ("create", "configmaps"),
        ("update", "jobs"),
        ("create", "pods/exec"),
    )
    assert {may(verb, kind, own) for verb, kind in denied} == {"no"}
