"""Admission: the API server refuses what the rules forbid, whoever asks for it.

Declares ValidatingAdmissionPolicies and their bindings. Is given the rules as data, and needs nothing else of the platform. Offers nothing.
"""
