"""What `pulumi up` runs."""

from stacks.program import program

program()
