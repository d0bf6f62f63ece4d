"""One end of a multipath connection: listen PORT, or connect ADDRESS PORT. Says ready, and ends with its standard input."""

import socket
import sys

IPPROTO_MPTCP = 262


def main(what: str, *where: str) -> None:
    try:
        end = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
        if what == "listen":
            end.bind(("0.0.0.0", int(where[0])))
            end.listen()
        else:
            end.connect((where[0], int(where[1])))
    except OSError as why:
        print(why, flush=True)
        return
    print("ready", flush=True)
    sys.stdin.read()


main(*sys.argv[1:])
