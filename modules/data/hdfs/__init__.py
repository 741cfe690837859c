"""HDFS: one file system for all tenants, and the Kerberos realm that keeps them apart.

Declares the realm's KDC where none is given, NameNodes (one, or two with a journal and automatic failover), DataNodes by rack, and
a home directory with quotas for every tenant that has one. Needs tenants' namespaces, an authority for certificates and, for its
backups, an object store. Offers a file system at ``hdfs://longhouse``, WebHDFS over HTTPS, and a binding with all that a client
needs in the tenant's namespace.
"""
