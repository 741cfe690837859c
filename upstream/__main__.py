"""``python -m upstream lock NAME``: pin the jars of a server again, after its ``pom.xml`` was changed."""

from __future__ import annotations

import argparse
import sys

from upstream import UpstreamError, maven


def main(arguments: list[str] | None = None) -> int:
    """Run the command; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m upstream", description="Pins of third-party parts.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    lock = verbs.add_parser("lock", help="write the hashes of a server's jars beside its pin")
    lock.add_argument("name", help="folder in upstream/ that holds a pom.xml")
    name = parser.parse_args(arguments).name
    try:
        print(f"{name} {maven.version(name)}: {maven.lock(name)} jars locked")
    except UpstreamError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
