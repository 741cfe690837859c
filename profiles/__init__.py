"""What is wanted: one profile per environment, one record per tenant, and the check that refuses what cannot be.

`load(name)` reads a profile, the ones that it extends and its tenants, and gives one frozen, typed `Profile`, or every problem at once.
Needs no Pulumi and no cluster. `python -m profiles --help` is the same for people.
"""
