"""Programs that run inside the cluster: founding a ring, readiness, access, backups. They import no Pulumi."""
