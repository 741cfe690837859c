"""What runs inside the cluster for the object store: giving tenants what their records say, and the copy of their buckets."""
