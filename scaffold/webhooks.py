"""An operator's webhooks, as an API server on the same machine is told of them.

The manifests of a project name a Service. Where there is none, in tests and the
demo, the operator has a port and a certificate of its own making.
"""

from __future__ import annotations

import base64
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from scaffold.errors import ToolError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A port of this machine and the folder of the operator's certificates."""

    port: int
    folder: Path

    @property
    def flags(self) -> list[str]:
        """The flags that make the manager serve here."""
        return [
            f"--webhook-bind-address=127.0.0.1:{self.port}",
            f"--webhook-cert-dir={self.folder}",
            "--webhook-self-signed=127.0.0.1",
        ]

    def configurations(self, project: Path) -> list[dict[str, Any]]:
        """Return the webhook configurations of a project, served here."""
        manifests = project / "config/webhook/manifests.yaml"
        if not manifests.exists():
            return []
        found: list[dict[str, Any]] = list(YAML(typ="safe").load_all(manifests))
        for configuration in found:
            for webhook in configuration["webhooks"]:
                path = webhook["clientConfig"]["service"]["path"]
                webhook["clientConfig"] = self._client_config(path)
        return found

    def conversion(self) -> dict[str, Any]:
        """Return the merge patch of a CRD whose objects are converted here."""
        webhook = {
            "conversionReviewVersions": ["v1"],
            "clientConfig": self._client_config("/convert") | {"service": None},
        }
        return {"spec": {"conversion": {"strategy": "Webhook", "webhook": webhook}}}

    def _client_config(self, path: str) -> dict[str, Any]:
        return {
            "url": f"https://127.0.0.1:{self.port}{path}",
            "caBundle": base64.b64encode(self._authority()).decode(),
        }

    def _authority(self, patience: float = 30.0) -> bytes:
        """Return the certificate to trust, which the operator makes when it starts."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                return (self.folder / "ca.crt").read_bytes()
            except FileNotFoundError:
                time.sleep(0.01)
        raise ToolError(
            "the operator made no certificate",
            where=os.fspath(self.folder),
            fix="see what it logged",
        )
