"""Processing: engines that run tenants' own programs over the stores."""
