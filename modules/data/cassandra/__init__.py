"""Cassandra: wide rows, spread over nodes and copied between racks, with a keyspace and a role for each tenant.

Declares the servers (one node of our own, or cass-operator's CassandraDatacenter), who may use them, and their backups. Needs a
StoreContext and the tenants. Offers each tenant a binding with all that a client needs.
"""
