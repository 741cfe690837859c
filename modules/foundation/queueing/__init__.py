"""Queues: the Kueue operator, one cohort with fair sharing and borrowing, a flavor per node pool, and workload priorities.

Needs the node pools and, for the operator's webhooks, certificates. Offers the flavors and the cohort that tenants' queues refer to.
"""
