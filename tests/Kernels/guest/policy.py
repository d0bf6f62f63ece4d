"""Policies as a person writes them."""

from pathlib import Path

from guest.holder import Values


class Policy:
    """A file of policies, each for the destination of the same name."""

    def __init__(self, path: Path):
        self.path = path
        path.write_text("")

    def add(self, name: str, values: Values, *addresses: str, port: int | None = None) -> "Policy":
        ports = f"[{{number: {port}, protocol: TCP}}]" if port else "[]"
        listed = ", ".join(f'"{each}"' for each in addresses)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"""\
---
apiVersion: resilience.policy.gloo.solo.io/v2
kind: ConnectionPolicy
metadata: {{name: {name}, namespace: machine}}
spec:
  applyToDestinations:
  - {{kind: EXTERNAL_SERVICE, selector: {{name: {name}}}}}
  config:
    tcp:
      tcpKeepalive: {{time: {values.time}s, interval: {values.interval}s, probes: {values.probes}}}
---
apiVersion: networking.gloo.solo.io/v2
kind: ExternalService
metadata: {{name: {name}, namespace: machine}}
spec:
  addresses: [{listed}]
  ports: {ports}
""")
        return self
