"""the object store."""
