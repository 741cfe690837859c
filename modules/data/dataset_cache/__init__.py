"""Copies of tenants' datasets on nodes' own fast disks: what many workers of a node read, or one reads again, comes over the network once.

Needs the object store, whose word every read waits for, and pools with a `local_ssd`. Offers an address at which whoever works on such a node reads, with
the URLs that the store itself takes.
"""
