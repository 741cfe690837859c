"""Tuning: studies that look for the parameters with which a tenant's program does best, each trial a Job in the tenant's queue.

Needs the tenants' namespaces, their schemas in MySQL, and Kueue. Offers one description of a study, for Katib too, where a cluster has it.
"""
