"""Machine learning: what tenants train, tune and serve models with."""
