"""Stores: what keeps tenants' data. Each is one package, with one typed config and the same contract (store.py)."""
