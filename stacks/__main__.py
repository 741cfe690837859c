"""What `pulumi up` runs. The fleet has looked at every stack's state before it deploys one, and runs the program alone."""

import pulumi

from stacks.keeping import keep_tenants
from stacks.program import program, wanted

profile, part = wanted()
keep_tenants(part, profile.tenants)
pulumi.run(program)
