#!/usr/bin/env python3
"""A toy Kubernetes API server: TLS, /readyz /livez /healthz, and its own name for everything else.

    toy_apiserver.py NAME ADDRESS PORT CERTIFICATE KEY [FAIL_FILE]

While FAIL_FILE exists it answers 500 to health questions, as one does that is
starting or losing its etcd. Keeps connections open for as long as the client
likes, as watches need. Prints one line when it listens.
"""

import asyncio
import os
import ssl
import sys

HEALTH = {"/readyz", "/livez", "/healthz"}


async def serve(name, fail_file, reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode(errors="replace").split("?")[0]
            status, body = "200 OK", name
            if path in HEALTH:
                body = "ok"
                if fail_file and os.path.exists(fail_file):
                    status, body = "500 Internal Server Error", "not ready"
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            await writer.drain()
            if b"connection: close" in head.lower() or b"HTTP/1.0" in head:
                return
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, IndexError):
        pass
    finally:
        writer.close()


async def main(name, address, port, certificate, key, fail_file=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(
        lambda r, w: serve(name, fail_file, r, w), address, int(port), ssl=context, backlog=512
    )
    print(f"{name} listens on {address}:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) not in (6, 7):
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        pass
