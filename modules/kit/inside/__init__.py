"""What runs inside the cluster, shared by all programs that do: the standard library, the clients image's packages, and each other."""
