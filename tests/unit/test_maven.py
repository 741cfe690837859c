"""Servers that are published as jars: a jar is taken only when its hash agrees."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import upstream
from upstream import UpstreamError, __main__, maven

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><properties><v>4.3.1</v></properties>
<dependencies><dependency><groupId>org.example</groupId><artifactId>server</artifactId><version>{version}</version></dependency>
<dependency><groupId>org.example</groupId><artifactId>other</artifactId><version>9</version></dependency></dependencies></project>"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A room of pins with one server, and an `mvn` that puts server.jar where it is told to."""
    room = tmp_path / "upstream"
    (room / "server").mkdir(parents=True)
    (room / "server" / "pom.xml").write_text(POM.format(version="${v}"))
    program = tmp_path / "bin" / "mvn"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nfor word; do case "$word" in -DoutputDirectory=*) into="${word#*=}";; esac; done\n'
        f'cp {tmp_path}/jars/*.jar "$into"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "server.jar").write_text("the real one")
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(maven, "ROOM", room)
    monkeypatch.setattr(maven, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(upstream, "ROOM", room)
    maven.jars.cache_clear()
    return room


def test_the_version_is_that_of_the_first_dependency(room: Path) -> None:
    assert maven.version("server") == "4.3.1"
    (room / "server" / "pom.xml").write_text(POM.format(version="5.0"))
    assert maven.version("server") == "5.0"


def test_an_unknown_name_is_answered_with_those_there_are(room: Path) -> None:
    with pytest.raises(UpstreamError, match="no jars are pinned as 'other': upstream/ has server"):
        maven.version("other")


def test_jars_that_agree_with_the_lock_are_kept(room: Path) -> None:
    assert maven.lock("server") == 1
    (jar,) = maven.jars("server")
    assert jar.read_text() == "the real one"
    (room.parent / "jars" / "server.jar").unlink()
    maven.jars.cache_clear()
    assert maven.jars("server") == (jar,), "what was verified is not downloaded again"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda jars: (jars / "server.jar").write_text("another"), "server.jar has another hash"),
        (lambda jars: (jars / "server.jar").rename(jars / "renamed.jar"), "server.jar was not downloaded"),
        (lambda jars: (jars / "extra.jar").write_text("more"), "extra.jar is not locked"),
    ],
)
def test_jars_that_do_not_agree_are_refused_and_not_kept(
    room: Path, change: object, fault: str, tmp_path: Path
) -> None:
    maven.lock("server")
    assert callable(change)
    change(tmp_path / "jars")
    with pytest.raises(UpstreamError, match=fault):
        maven.jars("server")
    assert not list((tmp_path / "cache").glob("server-*"))


def test_the_command_says_what_it_locked(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["lock", "server"]) == 0
    assert capsys.readouterr().out == "server 4.3.1: 1 jars locked\n"
    assert __main__.main(["lock", "none"]) == 1
    assert "upstream/ has server" in capsys.readouterr().err
