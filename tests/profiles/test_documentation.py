"""What the pages tell a person to write is what the loader takes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import yaml

from profiles.load import DIRECTORY, load

README = Path(__file__).parents[2] / "README.md"


def test_the_tenant_that_the_readme_adds_fits_into_the_local_profile(tmp_path: Path) -> None:
    copy = tmp_path / "profiles"
    shutil.copytree(DIRECTORY, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (record,) = re.findall(r"```yaml\n(.*?owner: climate-team.*?)```", README.read_text(), re.DOTALL)
    (copy / "tenants" / "climate.yaml").write_text(record)
    local = yaml.safe_load((copy / "local.yaml").read_text())
    local["tenants"]["climate"] = {}
    (copy / "local.yaml").write_text(yaml.safe_dump(local))
    assert load("local", copy).tenants["climate"].quota.gpus == {"a100": 2}
