"""TensorBoard for each tenant, over what its training jobs log: none runs until somebody opens it, and it ends when nobody has looked for a while.

Needs the tenants' namespaces, the object store and training. Offers a Deployment `tensorboard` in the namespace of each tenant that has a bucket.
"""
