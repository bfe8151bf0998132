"""A small name server: what a balancer's host asks, and a test decides what it is told."""

import ipaddress
import socket
import struct
import threading
import time

RCODES = {"servfail": 2, "nx": 3, "refused": 5}
TYPES = {4: 1, 6: 28}  # A, AAAA


def _question(query):
    """(name, type, where the question ends)"""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    return ".".join(labels).lower(), struct.unpack_from("!H", query, at + 1)[0], at + 5


class NameServer:
    """Answers on ADDRESS:53 until closed. `says`: name -> addresses, or "nx", "servfail", "refused", "silent".

    A name that it has not heard of does not exist; `default` says otherwise.
    """

    def __init__(self, address):
        self.says = {}
        self.default = "nx"
        self.asked = []  # (when, name)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _answer(self, query):
        name, kind, end = _question(query)
        self.asked.append((time.monotonic(), name))
        said = self.says.get(name, self.default)
        if said == "silent":
            return None
        rcode = RCODES[said] if isinstance(said, str) else 0
        addresses = [] if rcode else [ipaddress.ip_address(a) for a in said]
        records = [a.packed for a in addresses if TYPES[a.version] == kind]
        head = query[:2] + struct.pack("!HHHHH", 0x8180 | rcode, 1, len(records), 0, 0)
        answers = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 5, len(r)) + r for r in records)
        return head + query[12:end] + answers

    def _serve(self):
        while True:
            query, sender = self.socket.recvfrom(4096)
            if not query:
                return
            reply = self._answer(query)
            if reply:
                self.socket.sendto(reply, sender)

    def last(self, name):
        """When it was last asked for a name."""
        return max((when for when, asked in self.asked if asked == name), default=0)

    def close(self):
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()
