# Whether this broker is ready: registered, caught up with the metadata and let in by the controllers (state 3, "running"); a voter or an
# observer that knows its leader; leading no partition with too few copies; and itself behind in none. All of it is in the metrics, read
# through the shell's own socket: a JVM for each probe would cost more than the broker.
set -eu
exec 3<>/dev/tcp/127.0.0.1/9404
printf 'GET /metrics HTTP/1.0\r\nConnection: close\r\n\r\n' >&3
running= quorum= led=
while read -r metric value _ <&3; do
  case $metric in
    kafka_broker_state) running=$value ;;
    kafka_under_min_isr_partitions) led=$value ;;
    'kafka_raft_state{state="leader"}' | 'kafka_raft_state{state="follower"}' | 'kafka_raft_state{state="observer"}') quorum=$value ;;
    kafka_replica_lag*)
      lag=${value%.*}
      if [ "$lag" -lt 0 ] || [ "$lag" -gt "$1" ]; then
        echo "not in sync: $metric $value" >&2
        exit 1
      fi
      ;;
  esac
done
[ "$running" = 3.0 ] && [ "$quorum" = 1.0 ] && [ "$led" = 0.0 ] && exit
echo "state ${running:-unknown} (3 is running), in the quorum: ${quorum:-no}, partitions short of copies: ${led:-unknown}" >&2
exit 1
