# Writes the settings of this pod's server, and formats its volume at the very first start.
# SETTINGS and RUN are folders, CONTROLLERS how many servers vote, VOTERS who they are, ADVERTISED its addresses but for its own name.
set -eu
node=${HOSTNAME##*-}
if [ "$node" -lt "$CONTROLLERS" ]; then
  role=controller voters=--initial-controllers=$VOTERS
else
  role=broker voters=--no-initial-controllers
fi
addresses=$(printf %s "$ADVERTISED" | sed "s/@/$HOSTNAME/g")
{
  cat "$SETTINGS/$role.properties"
  printf 'node.id=%s\nadvertised.listeners=%s\n' "$node" "$addresses"
} > "$RUN/server.properties"
exec java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "-Dlog4j2.configurationFile=$SETTINGS/log4j2.properties" -cp '/opt/kafka/libs/*' \
  kafka.tools.StorageTool format --ignore-formatted "--cluster-id=$CLUSTER" "$voters" "--config=$RUN/server.properties"
