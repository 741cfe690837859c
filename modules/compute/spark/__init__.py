"""Spark: the operator that runs tenants' applications, and in each tenant's namespace what an application needs unasked.

Needs the tenants' namespaces, certificates and, for queueing, Kueue. Offers the kinds SparkApplication and ScheduledSparkApplication.
"""
