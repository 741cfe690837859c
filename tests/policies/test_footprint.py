"""How much memory a report takes, its helpers included."""

from __future__ import annotations

import subprocess
import sys

from policies.footprint import footprint

_HOLDS = "held = b'x' * (200 * 2**20); print('ready', flush=True); input()"


def test_the_peak_is_that_of_all_processes_together_and_stays_when_they_have_ended() -> None:
    with footprint() as before:
        pass
    with footprint() as found:
        child = subprocess.Popen(
            [sys.executable, "-c", _HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            with footprint() as while_it_holds:
                pass
            assert while_it_holds.peak_mib - before.peak_mib > 200
            child.communicate("\n")
    with footprint() as after:
        pass
    assert after.peak_mib - before.peak_mib < 100
    assert found.peak_mib >= after.peak_mib
