"""A tenant: one record that compiles to everything that a team may use, and to nothing else.

Declares, per tenant, its namespace with Pod Security `restricted`, quota, limits, access for OIDC groups, network policies, service
accounts and queues. Needs the cluster's address ranges, the node pools and the queueing operator. Offers the namespace's name.
"""
