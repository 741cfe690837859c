"""The object store as its tenants use it: with boto3, as AWS's SDKs find it from the two files of the binding."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.live import PATIENCE_SECONDS, Live, Object, Pod, Tenant
from tests.pages import examples

pytestmark = pytest.mark.data

STORE = "object-store"
BINDING = f"/bindings/{STORE}"

CALLS = f"""
import json, os, sys
os.environ |= {{"AWS_CONFIG_FILE": "{BINDING}/config", "AWS_SHARED_CREDENTIALS_FILE": "{BINDING}/credentials"}}
import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
anonymous, calls = json.loads(sys.argv[1])
s3 = boto3.client("s3", config=Config(signature_version=UNSIGNED) if anonymous else None)
own = open("{BINDING}/bucket").read()
answers = []
for name, arguments in calls:
    if name != "list_buckets":
        arguments.setdefault("Bucket", own)
    if "Zeros" in arguments:
        with open("/tmp/zeros", "wb") as file:
            file.truncate(arguments.pop("Zeros"))
        arguments["Body"] = open("/tmp/zeros", "rb")
    try:
        answer = getattr(s3, name)(**arguments)
        if "Body" in answer:
            answer["Body"] = answer["Body"].read().decode()
        del answer["ResponseMetadata"]
    except ClientError as error:
        answer = {{"refused": error.response["Error"]["Code"]}}
    answers.append(answer)
print(json.dumps(answers, default=str))
"""
"""Makes calls of boto3's S3 client and prints what came of each: its answer, or the code of the refusal."""

STREAM = f"""
import json, os, sys, time
os.environ |= {{"AWS_CONFIG_FILE": "{BINDING}/config", "AWS_SHARED_CREDENTIALS_FILE": "{BINDING}/credentials"}}
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
s3 = boto3.client("s3", config=Config(connect_timeout=1, read_timeout=5, retries={{"total_max_attempts": 1}}))
bucket = open("{BINDING}/bucket").read()
prefix, wanted = sys.argv[1], int(sys.argv[2])
acknowledged, refused, number, longest, last = {{}}, 0, 0, 0.0, time.monotonic()
after_a_refusal = 0
while after_a_refusal < wanted:
    assert time.monotonic() - last < float(sys.argv[3]), "no write was acknowledged for so long"
    number += 1
    key = f"{{prefix}}/{{number}}"
    try:
        etag = s3.put_object(Bucket=bucket, Key=key, Body=key.encode() * 1000)["ETag"]
    except (BotoCoreError, ClientError):
        refused += 1
        time.sleep(0.1)
        continue
    acknowledged[key] = etag
    after_a_refusal += refused > 0
    now = time.monotonic()
    longest, last = max(longest, now - last), now
    if len(acknowledged) == 20:
        open("/tmp/streaming", "w").close()
lost = []
for key, etag in acknowledged.items():
    found = s3.get_object(Bucket=bucket, Key=key)
    if found["ETag"] != etag or found["Body"].read() != key.encode() * 1000:
        lost.append(key)
print(json.dumps({{"acknowledged": len(acknowledged), "refused": refused, "lost": lost, "seconds": longest}}))
"""
"""Writes objects until some were acknowledged after the first refusal, then reads every acknowledged one back."""


def secret(live: Live, name: str) -> dict[str, str]:
    """A Secret of the store's namespace."""
    data = live.get("secret", name, f"--namespace={STORE}")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def call(pod: Pod, *calls: tuple[str, Object], anonymous: bool = False) -> list[Any]:
    """What came of calls, in their order."""
    found: list[Any] = json.loads(pod.python(CALLS, json.dumps([anonymous, calls])))
    return found


@pytest.fixture(scope="module")
def us(live: Live, tenants: tuple[Tenant, Tenant]) -> Iterator[Pod]:
    """A pod of one tenant."""
    with live.client(tenants[0], STORE) as pod:
        yield pod


@pytest.fixture(scope="module")
def them(live: Live, tenants: tuple[Tenant, Tenant]) -> Iterator[Pod]:
    """A pod of another."""
    with live.client(tenants[1], STORE) as pod:
        yield pod


@pytest.fixture(scope="module")
def our_bucket(us: Pod) -> str:
    """The first tenant's bucket."""
    return str(us.host.file(f"{BINDING}/bucket").content_string)


def test_what_a_tenant_stores_it_reads_back_and_so_it_does_an_older_version(us: Pod) -> None:
    first, second, newest, versions = call(
        us,
        ("put_object", {"Key": "note", "Body": "first"}),
        ("put_object", {"Key": "note", "Body": "second", "ChecksumAlgorithm": "SHA256"}),
        ("get_object", {"Key": "note"}),
        ("list_object_versions", {"Prefix": "note"}),
    )
    assert newest["Body"] == "second"
    assert {first["VersionId"], second["VersionId"]} <= {each["VersionId"] for each in versions["Versions"]}
    (older,) = call(us, ("get_object", {"Key": "note", "VersionId": first["VersionId"]}))
    assert older["Body"] == "first"


def test_the_example_of_the_page_runs_as_it_stands(us: Pod) -> None:
    (settings,) = examples("object-store", "yaml")
    (program,) = examples("object-store", "python")
    environment = {each["name"]: each["value"] for each in yaml.safe_load(settings)["env"]}
    assert us.python(f"import os\nos.environ |= {environment}\n{program}") == "hello"


def test_what_was_deleted_can_be_brought_back_for_the_days_of_the_record(us: Pod) -> None:
    stored, _, gone, lifecycle = call(
        us,
        ("put_object", {"Key": "deleted", "Body": "still here"}),
        ("delete_object", {"Key": "deleted"}),
        ("get_object", {"Key": "deleted"}),
        ("get_bucket_lifecycle_configuration", {}),
    )
    assert gone == {"refused": "NoSuchKey"}
    (older,) = call(us, ("get_object", {"Key": "deleted", "VersionId": stored["VersionId"]}))
    assert older["Body"] == "still here"
    (rule,) = lifecycle["Rules"]
    assert rule["Status"] == "Enabled"
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] >= 1


def test_another_tenant_is_refused_and_does_not_even_see_the_name(
    us: Pod, them: Pod, our_bucket: str
) -> None:
    call(us, ("put_object", {"Key": "private", "Body": "ours"}))
    *refused, buckets = call(
        them,
        ("get_object", {"Bucket": our_bucket, "Key": "private"}),
        ("put_object", {"Bucket": our_bucket, "Key": "private", "Body": "theirs"}),
        ("delete_object", {"Bucket": our_bucket, "Key": "private"}),
        ("list_objects_v2", {"Bucket": our_bucket}),
        ("get_bucket_lifecycle_configuration", {"Bucket": our_bucket}),
        ("create_bucket", {"Bucket": "a-bucket-of-their-own"}),
        ("list_buckets", {}),
    )
    assert refused == [{"refused": "AccessDenied"}] * 6
    assert our_bucket not in {each["Name"] for each in buckets["Buckets"]}
    assert len(buckets["Buckets"]) == 1


def test_who_shows_no_key_is_refused(us: Pod) -> None:
    refused = call(
        us,
        ("get_object", {"Key": "private"}),
        ("put_object", {"Key": "private", "Body": "anybody's"}),
        ("list_objects_v2", {}),
        anonymous=True,
    )
    assert refused == [{"refused": "AccessDenied"}] * 3


def test_a_tenant_cannot_change_what_fences_its_bucket(us: Pod, our_bucket: str) -> None:
    public = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{our_bucket}/*"],
    }
    refused = call(
        us,
        ("put_bucket_policy", {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [public]})}),
        ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Suspended"}}),
        ("delete_bucket_lifecycle", {}),
        ("delete_bucket", {}),
    )
    assert refused == [{"refused": "AccessDenied"}] * 4


def test_what_would_go_over_the_quota_is_refused_with_minios_own_error(
    live: Live, us: Pod, our_bucket: str
) -> None:
    wanted = json.loads(secret(live, "access-desired")["desired.json"])
    quota = next(each["quota"] for each in wanted["tenants"] if each["bucket"] == our_bucket)
    (refused,) = call(us, ("put_object", {"Key": "too-much", "Zeros": quota}))
    assert refused == {"refused": "XMinioAdminBucketQuotaExceeded"}


def test_nothing_is_answered_without_tls(us: Pod) -> None:
    host, port = (
        us.host.file(f"{BINDING}/host").content_string,
        us.host.file(f"{BINDING}/port").content_string,
    )
    program = (
        "import sys, urllib.request, urllib.error\n"
        "try: print(urllib.request.urlopen(sys.argv[1], timeout=5).status)\n"
        "except urllib.error.HTTPError as refusal: print(refusal.code, refusal.read().decode())\n"
        "except urllib.error.URLError as refusal: print(refusal.reason)\n"
    )
    assert "400 Client sent an HTTP request to an HTTPS server" in us.python(
        program, f"http://{host}:{port}/"
    )
    assert "CERTIFICATE_VERIFY_FAILED" in us.python(program, f"https://{host}:{port}/"), (
        "any authority vouches for it"
    )


def test_metrics_are_for_who_has_the_token(live: Live, us: Pod) -> None:
    host = us.host.file(f"{BINDING}/host").content_string
    program = (
        "import ssl, sys, urllib.request, urllib.error\n"
        f"trust = ssl.create_default_context(cafile='{BINDING}/ca.crt')\n"
        "request = urllib.request.Request(sys.argv[1], headers={'Authorization': 'Bearer ' + sys.argv[2]})\n"
        "try: print(urllib.request.urlopen(request, context=trust, timeout=10).read().decode())\n"
        "except urllib.error.HTTPError as refusal: print(refusal.code)\n"
    )
    (endpoint,) = live.get("podmonitor", "minio", f"--namespace={STORE}")["spec"]["podMetricsEndpoints"]
    credentials = endpoint["authorization"]["credentials"]
    token = secret(live, credentials["name"])[credentials["key"]]
    address = f"https://{host}:9000{endpoint['path']}"
    assert us.python(program, address, "nobody") == "403"
    metrics = us.python(program, address, token)
    assert "minio_cluster_usage_buckets_quota_total_bytes" in metrics
    assert "minio_cluster_health_drives_online_count 1" in metrics


def test_every_acknowledged_write_outlives_the_death_of_the_server(live: Live, us: Pod) -> None:
    result = live.written_during(
        lambda: live.gone("minio-0", STORE),
        us,
        lambda: us.told(STREAM, "stream", "50", str(PATIENCE_SECONDS)),
        "/tmp/streaming",
    )
    assert result["lost"] == []
    assert result["refused"], "the server was never away, so nothing was shown"
    print(f"{result['acknowledged']} writes acknowledged, none lost; none for {result['seconds']:.1f} s")
