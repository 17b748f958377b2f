"""Under which rules does a browser show the page?"""

from __future__ import annotations

import secrets


def new_nonce() -> str:
    """A word that nobody can foresee; scripts run only if they carry it."""
    return secrets.token_urlsafe(18)


def content_policy(nonce: str) -> str:
    """The page's content security policy: its own scripts, its own server, nothing else."""
    return "; ".join([
        "default-src 'none'",
        f"script-src 'nonce-{nonce}'",
        "style-src 'unsafe-inline'",
        "img-src data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ])  # fmt: skip
