"""What keeps others out of the parts of the S3 server that know no S3 key.

Behind the S3 port, SeaweedFS is a master, a filer and a volume server, which listen too and by default do for anybody
what they are asked: read, overwrite and delete every object. Loopback is open to every user of this machine, and to
every page in a browser on it. So master and filer are told to speak no plain HTTP (`-disableHttp`), chunks are read and
written with tokens alone, and what its parts say to each other goes over TLS with a certificate that they must show.

All of it is made anew at each start: nobody else needs it, and nothing that is stored depends on it.
"""

import ipaddress
import os
import secrets
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.kit.clock import utc_now

# where `weed` looks for it: in its working directory
CONFIG = "security.toml"
CERTIFICATE, KEY = "parts.crt", "parts.key"
_TOKENS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
_TOKEN_KEY_BYTES = 32
_PARTS = ("master", "volume", "filer", "s3", "admin", "worker", "client")
# longer than anything runs without a start
_VALID = timedelta(days=3650)


def write(folder: Path, host: str) -> None:
    """Into the folder that the server is started in; readable by its owner alone."""
    _make_certificate(folder, host)
    lines = [f'[{token}]\nkey = "{secrets.token_hex(_TOKEN_KEY_BYTES)}"\n' for token in _TOKENS]
    lines.append(f'[grpc]\nca = "{folder / CERTIFICATE}"\n')
    lines += [f'[grpc.{part}]\ncert = "{folder / CERTIFICATE}"\nkey = "{folder / KEY}"\n' for part in _PARTS]
    _keep(folder / CONFIG, "".join(lines).encode())


def _make_certificate(folder: Path, host: str) -> None:
    """One for all parts, which signs itself: whoever shows it is one of them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tailorbird-s3")])
    now = utc_now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    _keep(folder / CERTIFICATE, certificate.public_bytes(pem))
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _keep(folder / KEY, secret)


def _keep(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
