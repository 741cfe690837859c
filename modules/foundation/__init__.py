"""What every other part stands on: tenants, node pools, queues, certificates."""
