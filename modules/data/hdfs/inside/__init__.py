"""Programs that run inside the cluster: they bring access to what is wanted, take backups and bring them back."""
