"""Flink: streams of a tenant, computed in its own namespace: an application of its own, or a session cluster that its people share.

Needs the tenants' namespaces, their buckets, and for queueing Kueue. Offers no kind of its own: an application is a Job.
"""
