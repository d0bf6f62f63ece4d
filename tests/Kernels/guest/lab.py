"""Two namespaces joined by a veth pair, or by two and a bridge between them, with an application in each.

      near  veth ──────────── to-near  middle  to-far ──────────── veth  far
      10.77.0.1, 10.77.1.1, fd77::1                    10.77.0.2, 10.77.1.2, fd77::2
"""

import json

from guest.holder import Holder, Values
from guest.netns import Namespace, address, join

FOUR, SIX, MAPPED, OTHER = "10.77.0.2", "fd77::2", "::ffff:10.77.0.2", "10.77.1.2"
NEAR, NEAR_OTHER = "10.77.0.1", "10.77.1.1"
PORT = 7000
PROBES_SENT = "TcpExtTCPKeepAlive"


class Lab:
    def __init__(self, name: str, *, bridged: bool = False):
        self.near, self.far = Namespace(f"near-{name}"), Namespace(f"far-{name}")
        self.middle = Namespace(f"middle-{name}") if bridged else None
        if self.middle:
            self._bridge(self.middle)
        else:
            join(self.near, "veth", self.far, "veth")
        address(self.near, "veth", f"{NEAR}/24", "fd77::1/64", f"{NEAR_OTHER}/24")
        address(self.far, "veth", f"{FOUR}/24", f"{SIX}/64", f"{OTHER}/24")
        self._know_each_other(self.near, self.far, FOUR, SIX, OTHER)
        self._know_each_other(self.far, self.near, NEAR, "fd77::1", NEAR_OTHER)
        self.client, self.server = Holder(self.near), Holder(self.far)
        self.server.listen(PORT)

    def _bridge(self, middle: Namespace) -> None:
        middle("ip", "link", "add", "bridge", "type", "bridge")
        middle("ip", "link", "set", "bridge", "up")
        for end, port in ((self.near, "to-near"), (self.far, "to-far")):
            join(end, "veth", middle, port)
            middle("ip", "link", "set", port, "master", "bridge")

    @staticmethod
    def _know_each_other(one: Namespace, other: Namespace, *addresses: str) -> None:
        """Permanent neighbours: nothing but TCP is on the link."""
        hardware = json.loads(other("ip", "-json", "link", "show", "dev", "veth").stdout)[0]["address"]
        for each in addresses:
            one("ip", "neighbour", "replace", each, "lladdr", hardware, "dev", "veth", "nud", "permanent")

    def open_each_kind(self) -> dict[str, str]:
        return {to: self.client.connect(to, PORT) for to in (FOUR, SIX, MAPPED)}

    def values(self, connections: dict[str, str]) -> dict[str, str]:
        return {to: str(self.client.values(each)) for to, each in connections.items()}

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self.client, self.server):
            each.stop()
        for each in (self.near, self.far, self.middle):
            if each:
                each.delete()


def all_of(connections: dict[str, str], values: Values) -> dict[str, str]:
    return {to: str(values) for to in connections}
