"""What runs inside the cluster for Kafka."""
