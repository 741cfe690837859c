"""Programs that run inside the cluster: what is mounted, and when one runs again."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from modules.kit import task
from modules.kit.component import Component
from modules.kit.pods import SecretFiles
from modules.kit.task import Program, Run
from tests.conftest import Recording, record

PROGRAM = Program("modules.kit.inside.retained")
RUN = Run(
    name="access",
    namespace="stores",
    program=PROGRAM,
    image="longhouse/clients:1",
    arguments=("/state/state.json",),
    secrets=(SecretFiles("state", "/state", {"state.json": "{}"}),),
    service_account="access",
)


class Store(Component):
    """A component that runs a program once, and by the clock."""

    AREA = "data"
    COMPONENT = "store"

    def __init__(self, run: Run) -> None:
        super().__init__("store", owner="us")
        task.task(self, run)
        task.schedule(self, replace(run, name="backup", service_account=None), "0 3 * * *")
        self.register_outputs({})


def declared(run: Run = RUN) -> Recording:
    return record(lambda: Store(run))


def job_name(run: Run) -> str:
    return declared(run).of("batch/v1:Job")[0].object_name


def test_the_same_input_is_the_same_job() -> None:
    assert job_name(RUN) == job_name(replace(RUN))


def test_another_input_is_another_job() -> None:
    others = [
        replace(RUN, arguments=("/state/other.json",)),
        replace(RUN, image="longhouse/clients:2"),
        replace(RUN, secrets=(SecretFiles("state", "/state", {"state.json": "[]"}),)),
        replace(RUN, environment={"TZ": "UTC"}),
    ]
    assert len({job_name(each) for each in [RUN, *others]}) == len(others) + 1


def test_another_program_is_another_job() -> None:
    changed = Program("modules.data.inside.none")
    assert changed.files == {
        path: text for path, text in PROGRAM.files.items() if path.startswith("modules/kit/inside/")
    }
    assert replace(RUN, program=changed).key != RUN.key


def test_a_program_runs_from_its_mounted_files_alone(tmp_path: Path) -> None:
    """The import path is what the volume makes of the ConfigMap's keys; nothing of the platform's own is near."""
    recorded = declared()
    data = recorded.one("core/v1:ConfigMap", "access-program").inputs["data"]
    pod = recorded.of("batch/v1:Job")[0].spec.template.spec
    (volume,) = [each for each in pod.volumes if each.configMap]
    for item in volume.configMap["items"]:
        path = tmp_path / item.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data[item.key])
    words = [
        sys.executable,
        "-I",
        "-c",
        "import sys; sys.path.insert(0, '.'); import modules.kit.inside.retained as r; print(r.NAME)",
    ]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "retained", done.stderr


def test_only_a_program_that_calls_the_api_server_gets_a_token() -> None:
    recorded = declared()
    assert recorded.of("batch/v1:Job")[0].spec.template.spec.automountServiceAccountToken is True
    by_the_clock = recorded.of("batch/v1:CronJob")[0].spec.jobTemplate.spec.template.spec
    assert by_the_clock.automountServiceAccountToken is False
    assert by_the_clock.serviceAccountName is None


def test_a_schedule_never_runs_twice_at_a_time() -> None:
    (clock,) = declared().of("batch/v1:CronJob")
    assert clock.spec.concurrencyPolicy == "Forbid"
    assert clock.spec.jobTemplate.spec.activeDeadlineSeconds > 0
    assert clock.spec.schedule == "0 3 * * *"


def test_network_policies_find_a_program_by_its_label() -> None:
    labels = declared().of("batch/v1:Job")[0].spec.template.metadata.labels
    assert labels[task.PROGRAM] == "access"


def test_the_desired_state_is_a_secret() -> None:
    secrets = declared().named("core/v1:Secret")
    assert "stringData" in secrets["access-state"].secrets
