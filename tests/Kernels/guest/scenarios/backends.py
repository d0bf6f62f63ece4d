"""A Service behind IPVS in the machine's own network namespace, as kube-proxy sets it up, and three backends. The verdict is about each.

      client  10.81.1.2 ──── 10.81.1.1  the machine  10.81.2.1 ──── 10.81.2.2, .3, .4  server
                                  10.81.9.9 (cluster IP)
"""

import json
import shutil
from pathlib import Path

import checks
from guest.agent import Agent
from guest.bed import Bed
from guest.holder import Holder
from guest.netns import Namespace, address, run as of_machine
from guest.policy import Policy
from guest.waiting import Skipped, equal, expect, settled

SERVICE, PORT = "10.81.9.9", 7000
BACKENDS = ("10.81.2.2", "10.81.2.3", "10.81.2.4")
POLICY = f"""\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: db, namespace: shop}}
spec:
  host: db.shop.svc.cluster.local
  trafficPolicy: {{connectionPool: {{tcp: {{tcpKeepalive: {{time: 2s, interval: 1s, probes: 3}}}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: db, namespace: shop}}
spec:
  clusterIP: {SERVICE}
  ports: [{{port: {PORT}, protocol: TCP}}]
"""


class Node:
    def __init__(self):
        if not shutil.which("ipvsadm"):
            raise Skipped("ipvsadm is not installed (package ipvsadm)")
        self.client_netns, self.server_netns = Namespace("pod"), Namespace("backends")
        for end, device in ((self.client_netns, "to-pod"), (self.server_netns, "to-backends")):
            of_machine("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", end.name)
            of_machine("ip", "link", "set", device, "up")
            end("ip", "link", "set", "eth0", "up")
        of_machine("ip", "address", "add", "10.81.1.1/24", "dev", "to-pod")
        of_machine("ip", "address", "add", "10.81.2.1/24", "dev", "to-backends")
        address(self.client_netns, "eth0", "10.81.1.2/24")
        address(self.server_netns, "eth0", *(f"{each}/24" for each in BACKENDS))
        self.client_netns("ip", "route", "add", "default", "via", "10.81.1.1")
        self.server_netns("ip", "route", "add", "default", "via", "10.81.2.1")
        of_machine("ip", "link", "add", "kube-ipvs0", "type", "dummy")
        of_machine("ip", "address", "add", f"{SERVICE}/32", "dev", "kube-ipvs0")
        of_machine("modprobe", "-a", "ip_vs_rr", "nf_conntrack_netlink")
        of_machine("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.vs.conntrack=1")
        # The rule of kube-proxy for connections from outside the cluster: address translation makes the node track connections.
        of_machine("nft", "add table ip kube; add chain ip kube post { type nat hook postrouting priority 100; }; add rule ip kube post mark 0x4000 masquerade")
        of_machine("ipvsadm", "-A", "-t", f"{SERVICE}:{PORT}", "-s", "rr")
        for each in BACKENDS:
            of_machine("ipvsadm", "-a", "-t", f"{SERVICE}:{PORT}", "-r", f"{each}:{PORT}", "-m")
        self.client, self.server = Holder(self.client_netns), Holder(self.server_netns)
        self.server.listen(PORT)

    def cut(self, *backends: str) -> None:
        """Drops everything to backends, and nothing to others."""
        self.server_netns("nft", "add table ip cut; delete table ip cut; add table ip cut; add chain ip cut in { type filter hook input priority 0; }")
        for each in backends:
            self.server_netns("nft", f"add rule ip cut in ip daddr {each} drop")

    def end(self) -> None:
        for each in (self.client, self.server):
            each.stop()
        for each in (self.client_netns, self.server_netns):
            each.delete()
        of_machine("ipvsadm", "-C")
        of_machine("nft", "delete table ip kube")
        of_machine("ip", "link", "delete", "kube-ipvs0")


def run(bed: Bed) -> None:
    with bed.check(checks.IPVS_BACKENDS):
        node = Node()
        try:
            _judge(bed, node)
        finally:
            node.end()


def _pool(agent: Agent) -> dict[str, bool]:
    """Whether each endpoint is in the pool, the Service among them."""
    text = of_machine("curl", "--silent", "--show-error", "--max-time", "10", "--unix-socket", str(agent.state / "agent.sock"), "localhost/destinations").stdout
    return {row["endpoint"].rpartition(":")[0]: row["inPool"] for row in json.loads(text)}


def _judge(bed: Bed, node: Node) -> None:
    policy = Policy(Path("/run/backends.yaml"))
    policy.path.write_text(POLICY)
    for _ in range(2 * len(BACKENDS)):
        node.client.connect(SERVICE, PORT)
    with Agent(policy, "auto", more=("--netns", node.client_netns.path)) as agent:
        agent.start()
        settled(lambda: _pool(agent), dict.fromkeys((SERVICE, *BACKENDS), True), 10, "endpoints at first")
        node.cut(BACKENDS[1])
        settled(lambda: [each for each, is_in in _pool(agent).items() if not is_in], [BACKENDS[1]], 30, "out, with one backend dead")
        equal(agent.get(f"/destinations/{SERVICE}:{PORT}")[0], 200, "the Service, with one backend dead")
        node.cut(*BACKENDS)
        settled(lambda: agent.get(f"/destinations/{SERVICE}:{PORT}")[0], 503, 30, "the Service, with all backends dead")
        expect(not any(_pool(agent).values()), f"all are dead: {_pool(agent)}")
        node.cut()
        node.client.connect(SERVICE, PORT)
        settled(lambda: agent.get(f"/destinations/{SERVICE}:{PORT}")[0], 200, 30, "the Service, with one backend back")
        bed.note(f"with one of three backends back: {_pool(agent)}")
