#!/usr/bin/python3
"""An API server as far as a balancer can tell: TLS, three probes, and streams.

    failover_server.py NAME ADDRESS CERTIFICATE KEY PROBES_FILE

PROBES_FILE holds what /livez, /readyz and /healthz answer, one line each:
`/readyz 500`; what is not in it answers 200. `GET /stream` is a connection
that stays: NAME, then every line is sent back. Everything else is answered with NAME.

One process, so that it can be killed, stopped and started like a real one. SIGTERM
closes its port; connections that stand go on.
"""

import asyncio
import signal
import ssl
import sys
from pathlib import Path

PORT = 6443


def status_of(path, probes):
    for line in probes.read_text().splitlines():
        if line.split()[0] == path:
            return int(line.split()[1])
    return 200


async def echo(name, reader, writer):
    writer.write(f"HTTP/1.1 200 OK\r\n\r\n{name}".encode())
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()


async def serve(name, probes, reader, writer):
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode()
        if path == "/stream":
            await echo(name, reader, writer)
            return
        status = status_of(path, probes)
        reason = "OK" if status == 200 else "No"
        writer.write(
            f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Length: {len(name)}\r\n\r\n{name}".encode()
        )
        await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, IndexError):
        pass
    finally:
        writer.close()


async def main(name, address, certificate, key, probes):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(
        lambda r, w: serve(name, Path(probes), r, w), address, PORT, ssl=context, backlog=512
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    # No stack traces for connections that are cut: that is what happens here.
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    loop.run_until_complete(main(*sys.argv[1:]))
