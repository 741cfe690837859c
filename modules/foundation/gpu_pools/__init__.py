"""Node pools: which machines there are, where they stand, which GPUs they carry and how a GPU is shared.

The pools are data: what labels, taints and resources a node of a pool has follows from its record (`placement`). Needs nothing.
Offers those labels, taints and resource names to queueing, tenants and whatever places a pod.
"""
