"""``python -m stacks.gpu_programs --profile onprem``: write the values of NVIDIA's charts, and say how to install them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from modules.foundation.gpu_pools import programs
from profiles.load import load
from profiles.problems import ProfileError
from upstream import part


def main(arguments: list[str] | None = None) -> int:
    """Write a file for each chart; the exit code is 1 when the profile names no programs."""
    parser = argparse.ArgumentParser(prog="python -m stacks.gpu_programs", description=__doc__)
    parser.add_argument("--profile", required=True, help="name of the profile")
    parser.add_argument("--out", type=Path, default=Path(), help="folder to write to, by default this one")
    chosen = parser.parse_args(arguments)
    try:
        profile = load(chosen.profile)
    except ProfileError as error:
        print(error, file=sys.stderr)
        return 1
    wanted = profile.gpu_programs
    if wanted is None:
        print(
            f"profile {profile.name} names no programs for GPUs: write gpu_programs: {{program: …}}",
            file=sys.stderr,
        )
        return 1
    chosen.out.mkdir(parents=True, exist_ok=True)
    home = programs.namespace(wanted)
    print("# the platform first: it declares the namespace and what the programs are told of pools")
    for each in programs.releases(wanted, profile.node_pools.values(), part(programs.PART).version):
        file = chosen.out / f"{each.name}.yaml"
        file.write_text(yaml.safe_dump(each.values, sort_keys=True))
        print(
            f"helm upgrade --install {each.name} {each.chart} --repo {each.repository} --version {each.version}"
            f" --namespace {home} --values {file}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
