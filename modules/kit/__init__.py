"""What every component shares: names, labels, quantities, the config base class and the component base class.

Imports nothing of the platform. Importing the package, or any module of it that config uses, imports no Pulumi.
"""
