"""The rules, one module per family. They import no Pulumi: a rule is a function from plain data to the faults in it."""
