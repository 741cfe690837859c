"""What may never be declared, and what may never be destroyed.

`rules/` holds the rules: plain Python over plain data. `python -m policies preview` and the CrossGuard pack in `pack/` enforce them on the
resolved resources of a stack, before anything is touched. Needs `modules/kit` for labels and names, nothing else of the platform.
"""
