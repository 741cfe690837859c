"""The embedded cluster: a real Kubernetes on one machine, from package registries alone.

It builds the pinned tools and images once, starts a control plane, one real node and the simulated nodes that a
profile declares, and takes all of it away again. The platform does not know that it exists: it meets a cluster as any
other, through a kubeconfig.

Start with ``cluster.py``, which says in order what happens.
"""
