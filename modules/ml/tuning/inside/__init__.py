"""What runs inside the cluster for tuning."""
