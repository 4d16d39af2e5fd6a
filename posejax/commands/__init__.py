"""What `posejax COMMAND` can do, one module each: `register(commands)` adds its parser.

A module here imports only the standard library at its top: reading the command line stays fast, and
a command loads what it needs when it runs.
"""
