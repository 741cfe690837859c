"""Machine learning: what trains models, and what looks for the numbers to train them with."""
