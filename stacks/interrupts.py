"""Interrupts, where a shell took them away.

A shell without job control starts what it puts into the background (`make up &`, many a CI's runner) with SIGINT ignored, and every program started
from there inherits that. Pulumi ends its plugins by an interrupt and kills those that have not ended after five seconds: two of them for each stack.
"""

from __future__ import annotations

import signal


def let_children_hear() -> None:
    """Programs that are started from here on can be interrupted again; this one goes on ignoring it, as its shell wished."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # What has a handler is back to normal in a program that is executed; what is ignored stays ignored.
        signal.signal(signal.SIGINT, lambda number, frame: None)
