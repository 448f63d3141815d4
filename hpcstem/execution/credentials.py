"""Certificates by which a Dask scheduler and its workers on other nodes know each other."""

from __future__ import annotations

import datetime
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpcstem.errors import ExecutionError
from hpcstem.execution.site import Site
from hpcstem.execution.site_sections import expanded

_LIFETIME_DAYS = 30
_CLOCK_SKEW_DAYS = 1


@contextmanager
def tls_folder(site: Site) -> Iterator[Path]:
    """Make a key and a certificate in a folder that all nodes see and only this user can read; remove it at the end.

    Whoever has the key takes part in the computation, so it is made anew each time.

    Raises
    ------
    ExecutionError
        The folder cannot be made.
    ConfigError
        The variable that its path begins with is not set.
    """
    parent = Path.home() if site.paths.scratch is None else expanded(site.paths.scratch)
    try:
        hidden = parent / ".hpcstem"
        hidden.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="dask-", dir=hidden))  # with mode 0700
        _write_pair(folder)
    except OSError as error:
        raise ExecutionError(
            f"folder {parent} for certificates",
            error.strerror,
            "paths.scratch of the site: a folder that all nodes see",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tls_options(folder: Path) -> dict[str, str]:
    """Arguments of `distributed.Security` for the certificates of a folder.

    Raises
    ------
    ExecutionError
        Others can read the folder.
    """
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        raise ExecutionError(f"folder {folder}", f"mode {stat.S_IMODE(folder.stat().st_mode):o}", f"chmod 700 {folder}")
    pair = {"cert": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}
    roles = {f"tls_{role}_{part}": path for role in ("client", "scheduler", "worker") for part, path in pair.items()}
    return {"tls_ca_file": pair["cert"], **roles}


def _write_pair(folder: Path) -> None:
    """Write a key, and a certificate that it signs itself, which is its own authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hpcstem")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=_CLOCK_SKEW_DAYS))
        .not_valid_after(now + datetime.timedelta(days=_LIFETIME_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = os.open(folder / "key.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(private, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
