"""The commands of congress-dse, a module each: `add_arguments` and `run`.

Only the module of the command that is given is imported: a master, and an operator's question to
it, need no runtime.
"""
