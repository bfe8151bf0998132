"""A lab on one machine: real engines, real sshd, real HAProxy, real clients.

Everything runs inside the namespaces that `enter` makes, and dies with them.
"""
