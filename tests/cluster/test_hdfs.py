"""HDFS as its tenants use it: with Hadoop's own client, and with WebHDFS from Python, both from the binding alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.backend.base import CommandResult

from modules.data.hdfs.inside import webhdfs
from modules.data.hdfs.servers import IMAGE
from tests.live import PATIENCE_SECONDS, TIMEOUT, Live, Pod, Tenant, container, unique
from tests.pages import examples

pytestmark = pytest.mark.data

STORE = "hdfs"
BINDING = f"/bindings/{STORE}"
NOBODY = 65534

JAVA = (
    f"KRB5PRINCIPAL=$(cat {BINDING}/username) KRB5KEYTAB={BINDING}/keytab java -Xmx128m -XX:+UseSerialGC "
    f"-Djava.security.krb5.conf={BINDING}/krb5.conf -cp "
    f"'{BINDING}:/opt/hadoop/share/hadoop/common/*:/opt/hadoop/share/hadoop/common/lib/*:"
    "/opt/hadoop/share/hadoop/hdfs/*:/opt/hadoop/share/hadoop/hdfs/lib/*' "
)
"""Hadoop's client as the tenant: its settings are the binding's own files."""

PYTHON = (
    Path(webhdfs.__file__).read_text()
    + f"""
import json, os, sys
os.environ |= {{"KRB5_CONFIG": "{BINDING}/krb5.conf", "KRB5CCNAME": "FILE:/tmp/tickets", "KRB5_CLIENT_KTNAME": "{BINDING}/keytab"}}
files = WebHdfs(open("{BINDING}/webhdfs").read().split(","), "{BINDING}/ca.crt", say=lambda line: None)
home = "/tenants/" + open("{BINDING}/username").read()
"""
)
"""WebHDFS as the tenant: the platform's own client, with the tenant's key."""

CALLS = (
    PYTHON
    + """
answers = []
for name, *arguments in json.loads(sys.argv[1]):
    arguments = [each.encode() if name == "write" and number else each for number, each in enumerate(arguments)]
    try:
        answer = getattr(files, name)(*arguments)
        if name == "read":
            answer = answer.content.decode()
        elif name == "children":
            answer = [each.path for each in answer]
        elif name == "status":
            answer = answer and vars(answer)
    except HdfsError as error:
        answer = {"refused": error.kind}
    answers.append(answer)
print(json.dumps(answers))
"""
)

STREAM = (
    PYTHON
    + """
folder, wanted = f"{home}/{sys.argv[1]}", int(sys.argv[2])
files.patience = 0
files.mkdirs(folder, "700")
acknowledged, refused, number, after, longest, last = {}, {}, 0, 0, 0.0, time.monotonic()
began = time.monotonic()
while after < wanted and (refused or time.monotonic() - began < 60):
    assert time.monotonic() - last < float(sys.argv[3]), f"no write was acknowledged for so long: {refused}"
    number += 1
    path, content = f"{folder}/{number}", str(number).encode() * 1000
    try:
        files.write(path, content)
    except (HdfsError, requests.RequestException) as error:
        kind = getattr(error, "kind", type(error).__name__)
        refused[kind] = refused.get(kind, 0) + 1
        time.sleep(0.2)
        continue
    acknowledged[path] = content
    after += bool(refused)
    longest, last = max(longest, time.monotonic() - last), time.monotonic()
    if len(acknowledged) == 10:
        open("/tmp/" + sys.argv[1], "w").close()
files.patience = 60
lost = [path for path, content in acknowledged.items() if files.read(path).content != content]
files.delete(folder)
print(json.dumps({"acknowledged": len(acknowledged), "refused": refused, "lost": lost, "seconds": longest}))
"""
)
"""Writes files, each closed and so on disk when it is acknowledged, until some were written after the first refusal or a minute has passed (another server may have taken over unnoticed); then reads all."""


def java(pod: Pod, *words: str, main: str = "org.apache.hadoop.fs.FsShell") -> CommandResult:
    """Run a program of Hadoop's as the tenant."""
    return pod.host.run(f"{JAVA} {main} " + " ".join(["%s"] * len(words)), *words)


def call(pod: Pod, *calls: tuple[str, ...]) -> list[Any]:
    """What came of calls, in their order."""
    found: list[Any] = json.loads(pod.python(CALLS, json.dumps(calls)))
    return found


def home(tenant: Tenant) -> str:
    """The tenant's home."""
    return f"/tenants/{tenant.name}"


@pytest.fixture(scope="module")
def us(live: Live, tenants: tuple[Tenant, Tenant]) -> Iterator[Pod]:
    """A pod of one tenant, with Python."""
    with live.client(tenants[0], STORE) as pod:
        yield pod


@pytest.fixture(scope="module")
def them(live: Live, tenants: tuple[Tenant, Tenant]) -> Iterator[Pod]:
    """A pod of another."""
    with live.client(tenants[1], STORE) as pod:
        yield pod


@pytest.fixture(scope="module")
def hadoop(live: Live, tenants: tuple[Tenant, Tenant]) -> Iterator[Pod]:
    """A pod of the first tenant, with Hadoop. Its user has a name in the image: without a keytab Java wants one."""
    size = {"requests": {"cpu": "50m", "memory": "384Mi"}, "limits": {"cpu": "2", "memory": "384Mi"}}
    main = container(["sleep", "infinity"]) | {"image": IMAGE, "resources": size}
    main["securityContext"] |= {"runAsUser": NOBODY}
    main["volumeMounts"] = [{"name": STORE, "mountPath": BINDING, "readOnly": True}]
    volumes = [{"name": STORE, "secret": {"secretName": STORE}}]
    with live.pod(tenants[0], containers=[main], volumes=volumes) as pod:
        yield pod


def test_hadoops_own_client_writes_and_reads_what_webhdfs_reads_too(
    us: Pod, hadoop: Pod, tenants: tuple[Tenant, Tenant]
) -> None:
    path = f"{home(tenants[0])}/{unique('note')}"
    said = hadoop.host.run(f"printf 'six times seven' | {JAVA} org.apache.hadoop.fs.FsShell -put - {path}")
    assert said.rc == 0, said.stderr
    assert java(hadoop, "-cat", path).stdout == "six times seven"
    read, status = call(us, ("read", path), ("status", path))
    assert read == "six times seven"
    assert (status["owner"], status["permission"]) == (tenants[0].name, "600")


def test_the_examples_of_the_page_run_as_they_stand(
    us: Pod, hadoop: Pod, tenants: tuple[Tenant, Tenant]
) -> None:
    (in_python,) = examples("hdfs", "python")
    assert us.python(in_python) == "hello"
    in_shell = examples("hdfs", "sh")[0]
    done = hadoop.host.run("bash -c %s", in_shell)
    assert done.rc == 0, done.stderr
    assert call(us, ("read", f"{home(tenants[0])}/hello-from-java")) == ["hello\n"]


def test_another_tenant_is_refused_and_cannot_even_list_who_else_is_here(
    us: Pod, them: Pod, tenants: tuple[Tenant, Tenant]
) -> None:
    path = f"{home(tenants[0])}/private"
    call(us, ("write", path, "ours"))
    refused = call(
        them,
        ("read", path),
        ("write", path, "theirs"),
        ("delete", path),
        ("children", home(tenants[0])),
        ("set_owner", home(tenants[0]), tenants[1].name, tenants[1].name),
        ("children", "/tenants"),
        ("children", "/"),
        ("mkdirs", "/tenants/of-their-own", "700"),
    )
    assert refused == [{"refused": "AccessControlException"}] * 8


def test_who_proves_nothing_is_refused_whatever_name_it_gives(
    us: Pod, hadoop: Pod, tenants: tuple[Tenant, Tenant]
) -> None:
    program = (
        "import requests, sys\n"
        f"for address in open('{BINDING}/webhdfs').read().split(','):\n"
        "    for query in ('', '&user.name=hdfs', '&user.name=' + sys.argv[1]):\n"
        f"        print(requests.get(address + '/webhdfs/v1/?op=LISTSTATUS' + query, verify='{BINDING}/ca.crt').status_code)\n"
        f"    print(requests.get(address + '/jmx', verify='{BINDING}/ca.crt').status_code)\n"
    )
    assert set(us.python(program, tenants[0].name).split()) == {"401"}
    path = home(tenants[0])
    nobody = JAVA.replace(
        f"KRB5PRINCIPAL=$(cat {BINDING}/username) KRB5KEYTAB={BINDING}/keytab", "HADOOP_USER_NAME=hdfs"
    )
    without = hadoop.host.run(f"{nobody} org.apache.hadoop.fs.FsShell -ls {path}")
    assert "Client cannot authenticate via:[TOKEN, KERBEROS]" in without.stderr
    claimed = hadoop.host.run(
        f"{nobody} org.apache.hadoop.fs.FsShell -Dhadoop.security.authentication=simple -ls {path}"
    )
    assert "SIMPLE authentication is not enabled" in claimed.stderr


def test_a_tenant_cannot_become_another_nor_do_what_the_superuser_does(
    us: Pod, hadoop: Pod, tenants: tuple[Tenant, Tenant]
) -> None:
    refused = call(
        us,
        ("set_quota", home(tenants[0]), "1000000", "1000000000000"),
        ("allow_snapshots", home(tenants[0])),
        ("set_owner", home(tenants[0]), tenants[1].name, tenants[1].name),
    )
    assert refused == [{"refused": "AccessControlException"}] * 3
    said = java(hadoop, "-safemode", "enter", main="org.apache.hadoop.hdfs.tools.DFSAdmin")
    assert said.rc != 0
    assert "Superuser privilege is required" in said.stderr or "Access denied" in said.stderr
    assert not us.reaches("namenode-0.namenode.hdfs.svc", 8021), "where DataNodes register"


def test_what_goes_over_a_quota_is_refused_with_hdfs_own_errors(
    us: Pod, hadoop: Pod, tenants: tuple[Tenant, Tenant]
) -> None:
    folder = f"{home(tenants[0])}/{unique('full')}"
    ((names, space),) = call(us, ("quota", home(tenants[0])))
    deep = ["/".join([folder, str(number), *["d"] * 500]) for number in range(names // 500 + 1)]
    *made, removed = call(us, *(("mkdirs", each, "700") for each in deep), ("delete", folder))
    assert made[-1] == {"refused": "NSQuotaExceededException"}
    assert removed is None
    # A block that is begun counts whole, so one as large as the quota is refused with its first byte.
    block = f"-Ddfs.blocksize={space // 2**20 * 2**20 + 2**20}"
    said = hadoop.host.run(f"echo much | {JAVA} org.apache.hadoop.fs.FsShell {block} -put - {folder}")
    assert said.rc != 0
    assert "DSQuotaExceededException" in said.stderr or "quota" in said.stderr.lower()


@contextmanager
def backup_pod(live: Live) -> Iterator[Pod]:
    """A pod like that of the backup, which waits instead of running it."""
    template = live.get("cronjob", "backup", f"--namespace={STORE}")["spec"]["jobTemplate"]["spec"][
        "template"
    ]
    name = unique("backup")
    main = template["spec"]["containers"][0] | {"command": ["sleep", "infinity"]}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": STORE, "labels": template["metadata"]["labels"]},
        "spec": template["spec"] | {"containers": [main], "terminationGracePeriodSeconds": 0},
    }
    with live.objects(manifest):
        live.kubectl("wait", "--for=condition=Ready", f"pod/{name}", f"--namespace={STORE}", TIMEOUT)
        connection = f"kubectl://{name}?namespace={STORE}&kubeconfig={live.kubeconfig}"
        yield Pod(name, "", testinfra.get_host(connection))


def test_a_backup_restored_into_a_fresh_place_is_what_was_there_and_is_the_tenants_own(
    live: Live, us: Pod, them: Pod, tenants: tuple[Tenant, Tenant]
) -> None:
    ours = home(tenants[0])
    folder, target = unique("kept"), f"{ours}/{unique('restored')}"
    call(
        us,
        ("mkdirs", f"{ours}/{folder}/deep ä", "700"),
        ("write", f"{ours}/{folder}/deep ä/file", "as it was"),
        ("write", f"{ours}/{folder}/empty", ""),
        ("set_permission", f"{ours}/{folder}", "750"),
    )
    with backup_pod(live) as program:
        module = "python3 -m modules.data.hdfs.inside.backup"
        done = program.host.run(module)
        assert done.rc == 0, done.stderr
        assert "backed up" in done.stdout
        call(us, ("write", f"{ours}/{folder}/deep ä/file", "changed since"))
        again = program.host.run(module)
        assert again.rc == 0, again.stderr
        first = re.search(r"as (\S+Z)", done.stdout)
        copied = re.search(rf"{tenants[0].name}: 1 files read, (\d+) as they were", again.stdout)
        assert first, done.stdout
        assert copied, again.stdout
        over = program.host.run(f"{module} restore latest {tenants[0].name} {ours}")
        assert over.rc == 1
        assert "nothing is written over" in over.stderr
        restored = program.host.run(f"{module} restore {first[1]} {tenants[0].name} {target}")
        assert restored.rc == 0, restored.stderr
    content, empty, status, directory, now = call(
        us,
        ("read", f"{target}/{folder}/deep ä/file"),
        ("read", f"{target}/{folder}/empty"),
        ("status", f"{target}/{folder}/deep ä/file"),
        ("status", f"{target}/{folder}"),
        ("read", f"{ours}/{folder}/deep ä/file"),
    )
    assert (content, empty, now) == ("as it was", "", "changed since")
    assert (status["owner"], status["permission"]) == (tenants[0].name, "600")
    assert directory["permission"] == "750"
    assert call(them, ("read", f"{target}/{folder}/deep ä/file")) == [{"refused": "AccessControlException"}]
    assert call(us, ("delete", target), ("delete", f"{ours}/{folder}")) == [None, None]


def active(live: Live) -> str:
    """The NameNode in office."""
    for pod in live.items("pods", f"--namespace={STORE}", "--selector=app.kubernetes.io/name=namenode"):
        name: str = pod["metadata"]["name"]
        ask = ("bash", "/etc/longhouse/hdfs/ready.sh", "9404", "^hdfs_namenode_state.*active.* 1")
        if (
            live.try_kubectl(
                "exec", name, "--container=namenode", f"--namespace={STORE}", "--", *ask
            ).returncode
            == 0
        ):
            return name
    return ""


@pytest.mark.parametrize("victim", ["datanode-0", "the active NameNode"])
def test_every_acknowledged_write_outlives_the_death_of_a_server(live: Live, us: Pod, victim: str) -> None:
    name = unique("stream")
    pod = active(live) if victim == "the active NameNode" else victim
    result = live.written_during(
        lambda: live.gone(pod, STORE),
        us,
        lambda: us.told(STREAM, name, "10", str(PATIENCE_SECONDS)),
        f"/tmp/{name}",
    )
    live.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", f"--namespace={STORE}", TIMEOUT)
    assert result["lost"] == []
    print(
        f"{victim}: {result['acknowledged']} writes acknowledged, none lost; none for {result['seconds']:.1f} s"
    )
