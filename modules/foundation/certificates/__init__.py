"""Certificates: who signs the certificates that webhooks and servers inside the cluster present.

Needs the stack's master secret (issuer `derived`) or cert-manager (issuer `cert-manager`). Offers a signed key pair per server.
"""
