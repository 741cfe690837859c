"""What runs inside the cluster for tracking: MLflow's server behind a gate, its schema, and who may use it."""
