"""Tracking: MLflow's server, one for all tenants, in which each has a workspace of its own for experiments, runs, artifacts and models.

Needs the tenants' namespaces and buckets, and a schema of MySQL. Offers each tenant the binding `tracking`.
"""
