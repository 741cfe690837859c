"""The shape of the house: what import contracts in pyproject.toml cannot say."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(path.parent for path in ROOT.glob("modules/*/*/component.py"))


def _tracked() -> list[Path]:
    """Every file that is committed, or would be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


def _source(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def test_there_are_components_to_look_at() -> None:
    assert len(PACKAGES) >= 4


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
class TestComponent:
    def test_its_package_says_what_it_is_and_does_nothing_else(self, package: Path) -> None:
        module = _source(package / "__init__.py")
        assert ast.get_docstring(module), "the package has no docstring"
        assert len(module.body) == 1, "importing the package must import nothing"

    def test_it_has_a_typed_config_of_its_own(self, package: Path) -> None:
        assert (package / "config.py").is_file()

    def test_it_is_covered_by_a_unit_test_of_its_name(self, package: Path) -> None:
        assert (ROOT / "tests" / "unit" / f"test_{package.name}.py").is_file()

    def test_it_names_the_area_that_it_stands_in(self, package: Path) -> None:
        named = re.findall(r'^    AREA = "(\w+)"$', (package / "component.py").read_text(), re.MULTILINE)
        assert named, "no component class names its area"
        assert set(named) == {package.parent.name}


def test_every_room_says_what_it_is_for() -> None:
    rooms = [ROOT / room for room in ("modules", "policies", "profiles", "sandbox", "upstream")]
    without = [room.name for room in rooms if not ast.get_docstring(_source(room / "__init__.py"))]
    assert not without


def test_nothing_but_tests_imports_tests() -> None:
    guilty = [
        path.relative_to(ROOT)
        for path in _tracked()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] != "tests"
        for node in ast.walk(_source(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tests"
    ]
    assert not guilty


def test_no_manifest_is_made_from_text() -> None:
    """A string of YAML or JSON with a value put into it can be broken out of."""
    guilty = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in _tracked()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in ("modules", "stacks", "sandbox")
        for node in ast.walk(_source(path))
        if isinstance(node, ast.JoinedStr)
        and any(
            isinstance(part, ast.Constant) and re.search(r"(apiVersion|kind|metadata)\"?: ", str(part.value))
            for part in node.values
        )
    ]
    assert not guilty


def test_no_path_of_one_machine_is_committed() -> None:
    paths = re.compile(rb"(^|[\s\"'=(])/(home|root|work|Users)/\w")
    guilty = [
        path.relative_to(ROOT)
        for path in _tracked()
        if path.suffix != ".sum" and path.name != "test_architecture.py" and paths.search(path.read_bytes())
    ]
    assert not guilty


def test_every_pinned_part_has_its_hashes_beside_it() -> None:
    pins = [path for path in _tracked() if path.name == "go.mod"]
    assert len(pins) >= 10
    without = [
        path.parent.name
        for path in pins
        if "require" in path.read_text() and not (path.parent / "go.sum").is_file()
    ]
    assert not without


def test_the_provider_is_pinned_to_its_sdks_release_and_the_engine_to_none_newer_than_its_sdk() -> None:
    from sandbox.tools import PROVIDER_VERSION, PULUMI

    pinned = (ROOT / "pyproject.toml").read_text()
    assert f'"pulumi-kubernetes=={PROVIDER_VERSION}"' in pinned
    (sdk,) = re.findall(r'"pulumi==([\d.]+)"', pinned)
    assert _numbers(sdk) >= _numbers(PULUMI.program.version.removeprefix("v"))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
