"""What somebody does in each store who keeps the credentials of a tenant: writes a word, reads it back later, or is refused.

Each is a Python program for a pod that has the tenant's bindings at /bindings; ``write`` or ``read`` is its argument. It prints
``said <what it read>``, ``refused <why>``, or ``absent`` where it was let in and there is nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from modules.data.hdfs.inside import webhdfs

WORD: Final = "a word that outlives its tenant"

_FACTS = """
import json, os, pathlib, ssl, sys
STORE, WORD, write = "{store}", "{word}", sys.argv[1] == "write"
def fact(name): return pathlib.Path("/bindings", STORE, name).read_text()
"""

_OBJECT_STORE = """
os.environ |= {"AWS_CONFIG_FILE": "/bindings/object-store/config", "AWS_SHARED_CREDENTIALS_FILE": "/bindings/object-store/credentials"}
import boto3
from botocore.exceptions import ClientError
s3 = boto3.client("s3")
try:
    if write: s3.put_object(Bucket=fact("bucket"), Key="word", Body=WORD.encode())
    print("said", s3.get_object(Bucket=fact("bucket"), Key="word")["Body"].read().decode())
except ClientError as error:
    code = error.response["Error"]["Code"]
    print("absent" if code == "NoSuchKey" else f"refused {code}")
"""

_MYSQL = """
import pymysql
try:
    db = pymysql.connect(host=fact("host"), port=int(fact("port")), user=fact("username"), password=fact("password"),
        database=fact("database"), ssl=ssl.create_default_context(cafile="/bindings/mysql/ca.crt"), autocommit=True)
    with db.cursor() as cursor:
        if write:
            cursor.execute("CREATE TABLE word (word TEXT)")
            cursor.execute("INSERT INTO word VALUES (%s)", (WORD,))
        cursor.execute("SELECT word FROM word")
        print("said", cursor.fetchall()[0][0])
except pymysql.err.MySQLError as error:
    print("absent" if error.args[0] == 1146 else f"refused {error.args[0]}")
"""

_CASSANDRA = """
from cassandra import InvalidRequest
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable
cluster = Cluster([fact("host")], port=int(fact("port")), protocol_version=5, connect_timeout=10,
    auth_provider=PlainTextAuthProvider(fact("username"), fact("password")),
    ssl_context=ssl.create_default_context(cafile="/bindings/cassandra/ca.crt"), ssl_options={"server_hostname": fact("server_name")})
try:
    db, table = cluster.connect(), fact("keyspace") + ".word"
    if write:
        db.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, word text)")
        db.execute(f"INSERT INTO {table} (id, word) VALUES (1, %s)", (WORD,))
    print("said", db.execute(f"SELECT word FROM {table}").one().word)
except InvalidRequest: print("absent")
except NoHostAvailable as error:
    print("refused" if "AuthenticationFailed" in repr(error) else "broken", repr(error))
"""

_KAFKA = """
import time
from confluent_kafka import Consumer, KafkaError, Producer
settings, topic = {**json.loads(fact("librdkafka.json")), "log_level": 0}, fact("prefix") + "events"
problems, ended, found = [], set(), None
def trouble(error): problems.append(error.name())
if write:
    producer = Producer({**settings, "acks": "all"})
    producer.produce(topic, WORD.encode(), key=b"word")
    assert producer.flush(30) == 0
consumer = Consumer({**settings, "group.id": fact("prefix") + "word-" + str(time.time()), "auto.offset.reset": "earliest",
    "enable.partition.eof": True, "error_cb": trouble})
consumer.subscribe([topic])
deadline = time.monotonic() + 60
while time.monotonic() < deadline and "_AUTHENTICATION" not in problems and len(ended) < 3 and found is None:
    message = consumer.poll(0.5)
    if message is None: continue
    if message.error() is None: found = message.value().decode() if message.key() == b"word" else None
    elif message.error().code() == KafkaError._PARTITION_EOF: ended.add(message.partition())
    else: problems.append(message.error().name())
if found: print("said", found)
elif "_AUTHENTICATION" in problems: print("refused _AUTHENTICATION")
else: print("absent" if len(ended) == 3 else f"broken {problems}")
"""
"""The tenant may not make topics: it uses one of three partitions that its record names."""

_HDFS = (
    Path(webhdfs.__file__).read_text()
    + """
import os, sys
os.environ |= {"KRB5_CONFIG": "/bindings/hdfs/krb5.conf", "KRB5CCNAME": "FILE:/tmp/tickets-" + sys.argv[1], "KRB5_CLIENT_KTNAME": "/bindings/hdfs/keytab"}
files = WebHdfs(open("/bindings/hdfs/webhdfs").read().split(","), "/bindings/hdfs/ca.crt", say=lambda line: None)
files.patience = 0
path = "/tenants/" + open("/bindings/hdfs/username").read() + "/word"
try:
    if sys.argv[1] == "write": files.write(path, b"{word}")
    print("said", files.read(path).content.decode())
except HdfsError as error: print("absent" if error.kind == "FileNotFoundException" else f"refused {error.kind}")
except Exception as error: print("refused" if "GSSError" in repr(error) or "Kerberos" in repr(error) else "broken", repr(error))
"""
)

PROGRAMS: Final = {
    **{
        store: _FACTS.replace("{store}", store).replace("{word}", WORD) + program
        for store, program in {
            "object-store": _OBJECT_STORE,
            "mysql": _MYSQL,
            "cassandra": _CASSANDRA,
            "kafka": _KAFKA,
        }.items()
    },
    "hdfs": _HDFS.replace("{word}", WORD),
}
"""Store (the name of its namespace and of its bindings) to program."""
