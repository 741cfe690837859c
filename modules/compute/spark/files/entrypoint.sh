#!/bin/bash
# What starts in a Spark pod: `driver` and `executor` as Spark's own scheduler asks for them, `history` for the history server, anything else as
# it stands.
# The contract is that of upstream's resource-managers/kubernetes/docker/src/main/dockerfiles/spark/entrypoint.sh (Spark 4.0).
# Beyond it: a user without a name gets one, the tenant's bindings are made known to what reads them, and the heap is cut from the
# container's memory, so that the memory that was queued for is all that is used.
set -eu

export SPARK_HOME=${SPARK_HOME:-/opt/spark}
export JAVA_HOME=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")}
export PYTHONPATH="$SPARK_HOME/python/lib/pyspark.zip:$(echo "$SPARK_HOME"/python/lib/py4j-*-src.zip)${PYTHONPATH:+:$PYTHONPATH}"
export PYSPARK_PYTHON=${PYSPARK_PYTHON:-/usr/bin/python3} PYSPARK_DRIVER_PYTHON=${PYSPARK_DRIVER_PYTHON:-/usr/bin/python3}
bindings=/bindings
own=$(mktemp --directory)

# Hadoop asks who the process is, and the user's number stands in no image's list.
if ! getent passwd "$(id -u)" >/dev/null; then
  printf 'spark:x:%s:%s::%s:/bin/false\n' "$(id -u)" "$(id -g)" "$own" >"$own/passwd"
  printf 'spark:x:%s:\n' "$(id -g)" >"$own/group"
  export LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD=$own/passwd NSS_WRAPPER_GROUP=$own/group
fi

# Java reads no PEM: the authorities of the bindings join the public ones.
cat "$bindings"/*/ca.crt 2>/dev/null |
  awk -v into="$own/" '/BEGIN CERTIFICATE/ {text = ""} {text = text $0 "\n"} /END CERTIFICATE/ && !seen[text]++ {print text > (into (++n) ".pem")}'
if [ -e "$own/1.pem" ]; then
  cp /etc/ssl/certs/java/cacerts "$own/trust"
  chmod u+w "$own/trust"
  for each in "$own"/*.pem; do
    keytool -importcert -noprompt -alias "$(basename "$each")" -file "$each" -keystore "$own/trust" -storepass changeit 2>/dev/null
  done
  export JAVA_TOOL_OPTIONS="${JAVA_TOOL_OPTIONS:-} -Djavax.net.ssl.trustStore=$own/trust -Djavax.net.ssl.trustStorePassword=changeit"
fi
if [ -e "$bindings/object-store/access_key" ]; then
  AWS_ACCESS_KEY_ID=$(<"$bindings/object-store/access_key") AWS_SECRET_ACCESS_KEY=$(<"$bindings/object-store/secret_key")
  export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_CONFIG_FILE=$bindings/object-store/config
fi
if [ -e "$bindings/hdfs/core-site.xml" ]; then
  export HADOOP_CONF_DIR=$bindings/hdfs
  export JAVA_TOOL_OPTIONS="${JAVA_TOOL_OPTIONS:-} -Djava.security.krb5.conf=$bindings/hdfs/krb5.conf"
fi

# Megabytes of heap in an amount as Spark writes it (512m, 1g, 1024 are megabytes): three fifths; Python and Java itself have the rest.
heap() {
  case "$1" in
  *g) echo "$((${1%g} * 1024 * 3 / 5))m" ;;
  *m) echo "$((${1%m} * 3 / 5))m" ;;
  *) echo "$(($1 * 3 / 5))m" ;;
  esac
}

# Makes sure that a place in S3 is there, which stands in a file of settings under a name.
place() {
  python3 - "$@" <<'PYTHON'
import pathlib, sys, urllib.parse

file = pathlib.Path(sys.argv[1])
lines = file.read_text().splitlines() if file.is_file() else []
settings = dict(line.replace("\\:", ":").split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
place = urllib.parse.urlsplit(settings.get(sys.argv[2], ""))
if settings.get("spark.eventLog.enabled") == "true" and place.scheme == "s3a":
    import boto3

    boto3.client("s3").put_object(Bucket=place.netloc, Key=place.path.strip("/") + "/")
PYTHON
}

case "${1:-}" in
driver)
  shift
  settings=$SPARK_HOME/conf/spark.properties
  place "$settings" spark.eventLog.dir
  exec tini -s -- "$SPARK_HOME/bin/spark-submit" \
    --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
    --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" \
    --deploy-mode client --driver-memory "$(heap "$(sed -n 's/^spark\.driver\.memory=//p' "$settings")")" "$@"
  ;;
executor)
  shift
  readarray -t options < <(env | grep '^SPARK_JAVA_OPT_' | sort -t_ -k4 -n | sed 's/[^=]*=\(.*\)/\1/')
  memory=$(heap "$SPARK_EXECUTOR_MEMORY")
  exec tini -s -- "$JAVA_HOME/bin/java" "${options[@]}" -Xms"$memory" -Xmx"$memory" \
    -cp "${SPARK_CONF_DIR:+$SPARK_CONF_DIR:}${HADOOP_CONF_DIR:+$HADOOP_CONF_DIR:}${SPARK_EXTRA_CLASSPATH:+$SPARK_EXTRA_CLASSPATH:}$SPARK_HOME/jars/*" \
    org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
    --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
    --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
    --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
  ;;
history)
  # The container's memory, then settings, one an argument.
  memory=$(heap "$2")
  shift 2
  settings=$own/history.properties
  printf '%s\n' "$@" >"$settings"
  place "$settings" spark.history.fs.logDirectory
  exec tini -s -- "$JAVA_HOME/bin/java" -Xmx"$memory" -cp "$SPARK_HOME/jars/*" \
    org.apache.spark.deploy.history.HistoryServer --properties-file "$settings"
  ;;
*)
  exec tini -s -- "$@"
  ;;
esac
