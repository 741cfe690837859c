"""What runs inside the cluster for MySQL."""
