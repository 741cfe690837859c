"""Kafka: logs of messages, with a user, topics and limits for each tenant.

Declares a namespace with brokers that are their own controllers (`plain`), or Strimzi and its objects (`operator`); then one program that
makes users, access, quotas and topics what the records say, and a backup by the clock. Needs the tenants' namespaces and, for backups, the
object store. Offers each tenant a Secret ``kafka`` to connect with.
"""
