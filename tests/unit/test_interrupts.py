"""Programs that are started by one that a shell has put into the background."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

_ASK = "import subprocess, sys; print(subprocess.run([sys.executable, '-c', 'import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)'], capture_output=True, text=True).stdout)"


@pytest.mark.parametrize(
    ("first", "deaf"),
    [("", True), ("from stacks.interrupts import let_children_hear as hear; hear();", False)],
)
def test_they_can_be_interrupted_though_their_parent_ignores_it(first: str, deaf: bool) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" & wait $!', "sh", sys.executable, "-c", first + _ASK],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(deaf)


def test_who_is_not_in_the_background_is_still_interrupted() -> None:
    program = "import os, signal, stacks.interrupts as i; i.let_children_hear(); os.kill(os.getpid(), signal.SIGINT)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert "KeyboardInterrupt" in done.stderr
