"""MySQL: relational tables, a schema and an account for each tenant, and for the platform's own services.

Declares a namespace with one server (MariaDB, the local stand-in), or Percona's operator and a cluster of three, or nothing where an
endpoint is given; then one program that makes accounts what the records say, a backup by the clock and the exporter of metrics. Needs
the tenants' namespaces and, for backups, the object store. Offers each tenant a Secret ``mysql`` to connect with.
"""
