"""Policies as a person writes them."""

from pathlib import Path

from guest.holder import Values


class Policy:
    def __init__(self, path: Path, values: Values, *addresses: str):
        self.path = path
        self.values = values
        listed = ", ".join(f'"{each}"' for each in addresses)
        path.write_text(f"""\
apiVersion: resilience.policy.gloo.solo.io/v2
kind: ConnectionPolicy
metadata: {{name: keepalive, namespace: machine}}
spec:
  applyToDestinations:
  - {{kind: EXTERNAL_SERVICE, selector: {{name: far}}}}
  config:
    tcp:
      tcpKeepalive: {{time: {values.time}s, interval: {values.interval}s, probes: {values.probes}}}
---
apiVersion: networking.gloo.solo.io/v2
kind: ExternalService
metadata: {{name: far, namespace: machine}}
spec:
  addresses: [{listed}]
""", encoding="utf-8")
