"""Proof of isolation: who can reach what, computed from rendered objects as Kubernetes defines it, without a cluster.

`network` evaluates NetworkPolicies, `access` evaluates RBAC, `matrix` asks both about every pair of tenants and names the path of every
crossing. All three are functions from plain data to plain data.
"""
