#!/bin/bash
# What starts in a pod of a Flink Job: the first is the JobManager, every other a TaskManager. They find each other by what the leader
# writes into a ConfigMap, and what has to outlive them stands in the tenant's bucket, below flink/<name of the Job>.
# `session` as the first argument is a cluster that takes jobs, else the JobManager runs the SQL of /job; further ones are Flink's own
# settings, as -Dkey=value.
set -eu

export FLINK_HOME=${FLINK_HOME:-/opt/flink}
export JAVA_HOME=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")}
export FLINK_OPT_DIR=$FLINK_HOME/opt FLINK_PLUGINS_DIR=$FLINK_HOME/plugins MAX_LOG_FILE_NUMBER=2
own=$(mktemp --directory)
export FLINK_LOG_DIR=$own/log FLINK_PID_DIR=$own
mkdir "$FLINK_LOG_DIR"

store=/bindings/object-store
bucket=$(<"$store/bucket")
AWS_ACCESS_KEY_ID=$(<"$store/access_key") AWS_SECRET_ACCESS_KEY=$(<"$store/secret_key")
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
# Java reads no PEM: the authorities of the bucket join the public ones.
if [ -e "$store/ca.crt" ]; then
  cp /etc/ssl/certs/java/cacerts "$own/trust"
  chmod u+w "$own/trust"
  awk -v into="$own/" '/BEGIN CERTIFICATE/ {text = ""} {text = text $0 "\n"} /END CERTIFICATE/ && !seen[text]++ {print text > (into (++n) ".pem")}' "$store/ca.crt"
  for each in "$own"/*.pem; do
    keytool -importcert -noprompt -alias "$(basename "$each")" -file "$each" -keystore "$own/trust" -storepass changeit 2>/dev/null
  done
  export JVM_ARGS="${JVM_ARGS:-} -Djavax.net.ssl.trustStore=$own/trust -Djavax.net.ssl.trustStorePassword=changeit"
fi
path_style=false
if grep -q 'addressing_style = path' "$store/config"; then path_style=true; fi

mode=application
if [ "${1:-}" = session ]; then
  mode=session
  shift
fi
settings=(
  # In two words: jobmanager.sh takes anything else that comes first for a host.
  -D "kubernetes.cluster-id=$FLINK_NAME" "-Dkubernetes.namespace=$FLINK_NAMESPACE"
  "-Dhigh-availability.type=kubernetes" "-Dhigh-availability.storageDir=s3://$bucket/flink/$FLINK_NAME/ha"
  "-Dexecution.checkpointing.dir=s3://$bucket/flink/$FLINK_NAME/checkpoints"
  "-Dexecution.checkpointing.savepoint-dir=s3://$bucket/flink/$FLINK_NAME/savepoints"
  "-Dexecution.checkpointing.interval=${FLINK_CHECKPOINT_SECONDS}s"
  "-Ds3.endpoint=$(<"$store/endpoint")" "-Ds3.endpoint.region=$(<"$store/region")" "-Ds3.path.style.access=$path_style"
  "-Djobmanager.rpc.address=$FLINK_ADDRESS" "-Djobmanager.bind-host=0.0.0.0" "-Drest.address=$FLINK_ADDRESS" "-Drest.bind-address=0.0.0.0"
  "-Dtaskmanager.host=$FLINK_ADDRESS" "-Dtaskmanager.bind-host=0.0.0.0"
  "-Djobmanager.memory.process.size=${FLINK_MEMORY}b" "-Dtaskmanager.memory.process.size=${FLINK_MEMORY}b"
  # State is kept on the heap unless somebody asks for RocksDB, which takes managed memory.
  "-Dtaskmanager.memory.managed.fraction=0.1"
  "-Dtaskmanager.numberOfTaskSlots=$FLINK_CORES" "-Dparallelism.default=$((FLINK_CORES * FLINK_TASK_MANAGERS))"
  "-Dheartbeat.interval=4s" "-Dheartbeat.timeout=20s"
  # A script that is wrong ends the Job; it would be started again for ever.
  "-Dexecution.submit-failed-job-on-application-error=true"
  "$@"
)

# A table to make others like: where the tenant's Kafka is, and who the tenant is to it. The password stays in its file.
kafka() {
  local binding=/bindings/kafka
  cat <<SQL
CREATE TEMPORARY TABLE kafka WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '$(<"$binding/bootstrap-servers")',
  'properties.security.protocol' = '$(<"$binding/security-protocol")',
  'properties.sasl.mechanism' = '$(<"$binding/sasl-mechanism")',
  'properties.config.providers' = 'file',
  'properties.config.providers.file.class' = 'org.apache.kafka.common.config.provider.FileConfigProvider',
  'properties.sasl.jaas.config' = '\${file:$binding/client.properties:sasl.jaas.config}',
  'properties.ssl.truststore.type' = 'PEM',
  'properties.ssl.truststore.location' = '$binding/ca.crt',
  'properties.group.id' = '$(<"$binding/prefix")$FLINK_NAME',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = '$(<"$binding/prefix")$FLINK_NAME',
  'properties.transaction.timeout.ms' = '900000'
);
SQL
}

if [ "$JOB_COMPLETION_INDEX" != 0 ]; then
  exec "$FLINK_HOME/bin/taskmanager.sh" start-foreground "${settings[@]}"
elif [ "$mode" = session ]; then
  exec "$FLINK_HOME/bin/jobmanager.sh" start-foreground "${settings[@]}"
fi
if [ -e /bindings/kafka/client.properties ]; then kafka >"$own/job.sql"; fi
cat /job/*.sql >>"$own/job.sql"
exec "$FLINK_HOME/bin/standalone-job.sh" start-foreground "${settings[@]}" \
  --job-classname org.apache.flink.table.runtime.application.SqlDriver --scriptUri "$own/job.sql"
