"""deaths CONNECTIONS ADDRESS… PORT: opens so many connections to each address and tells when each was last heard and when it ended.

Says "ready" once all are open, and one line of JSON when all have ended: address, seconds from the last packet that came in to the end, errno.
"""

import errno
import json
import socket
import struct
import sys
import time

# struct tcp_info of linux/tcp.h: eight bytes, then 32-bit numbers.
LAST_DATA_RECEIVED, LAST_ACK_RECEIVED = 8 + 4 * 11, 8 + 4 * 12
LONGEST_WAIT = 60


def heard(connection: socket.socket, now: float) -> float:
    """When a packet last came in, by the clock that keepalive goes by: to the millisecond."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    ages = struct.unpack_from("=I", info, LAST_DATA_RECEIVED) + struct.unpack_from("=I", info, LAST_ACK_RECEIVED)
    return now - min(ages) / 1000


def main(count: str, *where: str) -> None:
    *addresses, port = where
    connections = [(address, socket.create_connection((address, int(port)))) for address in addresses for _ in range(int(count))]
    print("ready", flush=True)
    last, ended = {}, []
    deadline = time.monotonic() + LONGEST_WAIT
    while len(ended) < len(connections) and time.monotonic() < deadline:
        for address, connection in connections:
            if connection.fileno() < 0:
                continue
            now = time.monotonic()
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                ended.append((address, round(now - last[connection], 3), errno.errorcode[error]))
                connection.close()
            else:
                last[connection] = heard(connection, now)
        time.sleep(0.01)
    print(json.dumps(ended), flush=True)


main(*sys.argv[1:])
