"""``python -m sandbox``: the embedded cluster from the command line; ``make`` is the short way to it."""

from __future__ import annotations

import argparse
import shlex
import sys

from rich.console import Console

from profiles.load import load
from profiles.problems import ProfileError
from sandbox import cluster, images, machine, platform, status, tools
from sandbox.cluster import Cluster
from sandbox.places import BIN
from sandbox.progress import Progress
from sandbox.shell import SandboxError
from stacks import interrupts
from stacks.deploy import DeployError, pulumi_home
from upstream import UpstreamError

_DEPLOY_TASK = "deploy the platform"
_DEPLOY_SECONDS = 60.0


def main() -> int:
    """Run one command; the exit code is 0 when it did what it says, 1 with a message when not, 130 when interrupted."""
    arguments = _parser().parse_args()
    interrupts.let_children_hear()
    console = Console(highlight=False, soft_wrap=True)
    try:
        arguments.run(arguments, console)
    except (SandboxError, DeployError, ProfileError, UpstreamError) as problem:
        console.print(f"[red]error[/]   {arguments.command}:", end=" ")
        console.print(str(problem), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print(f"interrupted; run `make {arguments.command}` again and it goes on from here")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="The embedded cluster.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="build what is missing, start the cluster, deploy the platform")
    up.add_argument("--profile", default="local", help="what to deploy (default: %(default)s)")
    up.add_argument("--cluster-only", action="store_true", help="stop before the platform is deployed")
    up.set_defaults(run=_up)
    down = commands.add_parser("down", help="stop the cluster and take away all but the caches")
    down.set_defaults(run=_down)
    commands.add_parser("status", help="say what runs and where to look").set_defaults(run=_status)
    env = commands.add_parser("env", help='print settings for a shell: eval "$(python -m sandbox env)"')
    env.set_defaults(run=_env)
    push = commands.add_parser("push", help="build the platform's own images and push them to a registry")
    push.add_argument(
        "registry",
        help="registry and path in it, as the profile's cluster.images has them: registry.example.com/longhouse",
    )
    push.set_defaults(run=_push)
    pulumi = commands.add_parser(
        "pulumi", help="build Pulumi and what a preview takes, for any cluster, and print the folder"
    )
    pulumi.set_defaults(run=_pulumi)
    return parser


def _up(arguments: argparse.Namespace, console: Console) -> None:
    with cluster.exclusive():
        refusal = machine.why_no_container()
        profile = load(cluster.SIMULATED_PROFILE if refusal else arguments.profile)
        if refusal:
            console.print(f"No container can run here: {refusal}.", markup=False)
            console.print(
                f"So this is profile {profile.name}, not {arguments.profile}: a control plane with simulated nodes. Pods are "
                "scheduled, and refused where a namespace's rules say so; but no program runs in any of them, operators "
                "included, so nothing is queued, no network policy is enforced and no volume is filled.",
                markup=False,
            )
        platform.refuse_what_cannot_follow(profile)
        embedded = Cluster(profile, refusal)
        progress = Progress({**embedded.expected(), _DEPLOY_TASK: _DEPLOY_SECONDS}, tools.workers(), console)
        embedded.prepare(progress)
        progress.one_at_a_time()
        embedded.start(progress)
        if not arguments.cluster_only:
            with progress.task(_DEPLOY_TASK):
                changes = platform.up(profile, lambda words: progress.note(_DEPLOY_TASK, words))
            console.print(
                f"deployed: {', '.join(f'{count} {name}' for name, count in sorted(changes.items()))}"
            )
            status.show(console)


def _down(_: argparse.Namespace, console: Console) -> None:
    with cluster.exclusive():
        cluster.stop()
        platform.forget()
    console.print("The embedded cluster is gone; what was built stays in the cache.")


def _status(_: argparse.Namespace, console: Console) -> None:
    status.show(console)


def _env(_: argparse.Namespace, console: Console) -> None:
    for name, value in platform.target().environment.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def _push(arguments: argparse.Namespace, console: Console) -> None:
    own = [(image, image.reference_in(arguments.registry)) for image in images.OWN_IMAGES]
    if packages := machine.missing_packages():
        machine.install(packages)
    programs = tuple(program for image, _ in own for program, _ in image.programs if not program.built)
    steps = {f"build {each.name}": each.seconds for each in programs}
    for image, reference in own:
        steps |= {f"image {image.name}": image.seconds, f"push {reference}": 30.0}
    progress = Progress(steps, 1, console)
    tools.build(programs, progress)
    for image, reference in own:
        with progress.task(f"image {image.name}"):
            image.build()
        with progress.task(f"push {reference}"):
            images.push(image, reference)


def _pulumi(_: argparse.Namespace, console: Console) -> None:
    told = Console(stderr=True, highlight=False, soft_wrap=True)
    wanted = (tools.PULUMI, tools.LANGUAGE_HOST, tools.PROVIDER, tools.KUBERNETES, tools.ETCD)
    programs = tuple(tool.program for tool in tools.missing(wanted))
    tools.build(
        programs, Progress({f"build {each.name}": each.seconds for each in programs}, tools.workers(), told)
    )
    tools.link(wanted)
    platform.install_provider(pulumi_home())
    sys.stdout.write(f"{BIN}\n")


if __name__ == "__main__":
    sys.exit(main())
