"""``python -m stacks.study``: show or submit a tuning study, for the engine that the profile names.

``render FILE`` prints what would be created, ``submit FILE`` creates it on the kubeconfig's current context (or the profile's own). A study is
its owner's: submitting it takes a tenant's editor, and nothing of the platform's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from modules.kit import names
from modules.ml.training import image
from modules.ml.tuning import jobs, katib
from modules.ml.tuning.config import Engine
from modules.ml.tuning.study import Study
from profiles.load import load
from profiles.model import Profile
from profiles.problems import ProfileError
from profiles.study import load as load_study


def rendered(study: Study, profile: Profile) -> Mapping[str, Any]:
    """What the study is to the cluster: a Job that runs it, or Katib's Experiment. The profile has tuning."""
    assert profile.tuning is not None
    reference = image.image(profile.cluster.images)
    if profile.tuning.engine is Engine.KATIB:
        return katib.experiment(study, reference)
    return jobs.driver(study, profile.tuning, reference, tracked=study.tenant in profile.tracked)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code is 1 when the study is wrong or was refused."""
    parser = argparse.ArgumentParser(prog="python -m stacks.study", description="Tuning studies.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, what in (
        ("render", "print what a study is to the cluster"),
        ("submit", "create it on the kubeconfig's current context"),
    ):
        known = verbs.add_parser(verb, help=what)
        known.add_argument("file", type=Path, help="the study (docs/tuning.md)")
        known.add_argument("--profile", default="local", help="environment that it goes to (default: local)")
    chosen = parser.parse_args(arguments)
    try:
        profile = load(chosen.profile)
        study = load_study(chosen.file, profile)
    except ProfileError as error:
        print(error, file=sys.stderr)
        return 1
    made = rendered(study, profile)
    if chosen.verb == "render":
        print(yaml.safe_dump(made, sort_keys=False), end="")
        return 0
    return _submit(made, study, profile)


def _submit(made: Mapping[str, Any], study: Study, profile: Profile) -> int:
    where = ["--context", profile.cluster.context] if profile.cluster.context else []
    command = ["kubectl", *where, "create", "--filename=-"]
    try:
        done = subprocess.run(command, input=json.dumps(made), check=False, capture_output=True, text=True)
    except FileNotFoundError:
        print("kubectl is missing: install it, it asks the cluster", file=sys.stderr)
        return 1
    if done.returncode != 0:
        print(f"study {study.name} was not taken: {done.stderr.strip()}", file=sys.stderr)
        print(_way_out(done.stderr, made, study), file=sys.stderr)
        return 1
    print(done.stdout.strip())
    return 0


def _way_out(said: str, made: Mapping[str, Any], study: Study) -> str:
    kind, where = str(made["kind"]), f"--namespace={names.namespace(study.tenant)}"
    if "AlreadyExists" in said:
        return f"    → to go on where it was: kubectl delete {kind.lower()} {study.name} {where}, then submit it again"
    if "no matches for kind" in said:
        return "    → the cluster has no Katib: ask for it, or for a profile with tuning: {engine: optuna}"
    return f"    → check that you are an editor of tenant {study.tenant}: kubectl auth can-i create {kind.lower()}s {where}"


if __name__ == "__main__":
    sys.exit(main())
