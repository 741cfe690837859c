"""The object store: S3 for every tenant, each with a bucket and a key of its own, and for the backups of all other stores.

Two engines with one contract: MinIO, run here, or any S3 that is given by its endpoint. Needs the cluster, the stack's credentials and its certificate
authority. Declares the servers, and a program that gives each tenant what its record says. Offers tenants a Secret `object-store`, and the other stores
a place for their backups.
"""
