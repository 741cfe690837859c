"""Charts that upstream publishes in a registry of images and nowhere else, and what stands for one where its registry does not answer.

A preview needs package registries only. Where the registry answers, the chart itself is rendered and judged. Elsewhere a chart of its kinds alone,
which are pinned as packages, stands for it, and the preview says so: what the operator's own objects are is then not judged.
This file is run by path, beside the program of any commit: it may use nothing of `policies`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OUT_OF_REACH: Final = "is out of reach: its kinds stand for it, and its other objects are not judged"
"""What the preview says of such a chart."""

_SECONDS: Final = 5


@dataclass(frozen=True)
class Published:
    """A chart in a registry of images."""

    chart: str
    images: str
    """How the images begin that it names: lines of the lock that nothing here can confirm while it is out of reach."""
    kinds: Callable[[], Path]
    """Gives the folder of its CustomResourceDefinitions."""

    @property
    def registry(self) -> str:
        """The registry's host."""
        return self.chart.removeprefix("oci://").partition("/")[0]


def _strimzi() -> Path:
    from upstream import strimzi  # Of the commit that is rendered, at its own version.

    return strimzi.crds()


PUBLISHED: Final = (
    Published("oci://quay.io/strimzi-helm/strimzi-kafka-operator", "quay.io/strimzi/", _strimzi),
)


def out_of_reach(published: Iterable[Published] = PUBLISHED) -> tuple[Published, ...]:
    """The charts whose registries do not answer."""
    return tuple(each for each in published if not _answers(each.registry))


def _answers(host: str) -> bool:
    """Whether it does, with whatever status: asked as any client of it asks first, through a proxy where there is one."""
    try:
        with urllib.request.urlopen(f"https://{host}/v2/", timeout=_SECONDS):
            return True
    except urllib.error.HTTPError as answer:
        answer.close()
        return True
    except OSError:
        return False


def stand_in(published: Published, version: str, folder: Path) -> Path:
    """A chart of the kinds alone, made in the folder unless it is there."""
    chart = folder / published.chart.rpartition("/")[2]
    if not chart.is_dir():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / chart.name
            shutil.copytree(published.kinds(), made / "crds")
            metadata = {"apiVersion": "v2", "name": chart.name, "version": version}
            (made / "Chart.yaml").write_text(json.dumps(metadata))
            made.rename(chart)
    return chart
