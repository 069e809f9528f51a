"""Certificates for a cluster of one's own: an authority, and one certificate that all its nodes show each other."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dfml.cluster.connecting import AUTHORITY, CERTIFICATE, KEY
from dfml.core.errors import BadInput
from dfml.core.paths import claim_folder
from dfml.core.remedies import install

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey as Key

DAYS = 365


def write_certificates(folder: Path, *, days: int = DAYS) -> list[Path]:
    """Write ``authority.pem``, ``certificate.pem`` and ``key.pem``, the last readable by their owner alone.

    The authority's own key is not kept: nobody can be let in later without writing a new set. ``BadInput``: the folder
    holds other files, or cryptography is not installed.
    """
    claim_folder(folder, kind="certificates of a cluster")
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise BadInput(f"certificates need cryptography: {install('cluster')}") from None

    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    contents = {
        AUTHORITY: _signed("dfml cluster", root, root, days),
        CERTIFICATE: _signed("dfml node", own, root, days),
        KEY: own.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    return [folder / name for name in contents]


def _signed(name: str, key: Key, root: Key, days: int) -> bytes:
    """A certificate, in PEM, that the authority with the key ``root`` signs; its own, where both keys are one."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    now = datetime.now(UTC)
    subject, issuer = (
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (name, "dfml cluster")
    )
    built = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    built = built.serial_number(x509.random_serial_number())
    built = built.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(days=days))
    built = built.add_extension(x509.BasicConstraints(ca=key is root, path_length=None), critical=True)
    return built.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
