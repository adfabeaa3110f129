"""Debian's PostgreSQL and Redis, which speak TLS only: the embedded ones cannot."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api.local import data_dir
from api.local.redis import EmbeddedRedis
from tests.support.redis_users import PASSWORD, acl
from tests.support.servers import DebiansPostgres, debians_redis

#: The certificates are for this name; the servers listen on its address.
HOST = "localhost"
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """Somebody who signs certificates, and where the files are."""

    directory: Path

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    @cached_property
    def certificate(self) -> Path:
        """The authority's own: what a client must know."""
        name = _name("authority")
        return self._sign(name, self._key, "authority", x509.BasicConstraints(True, None))

    def server(self) -> tuple[Path, Path]:
        """Return a certificate for `localhost`, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        path = self.directory / "server.key"
        data_dir.write_privately(
            path,
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ).decode(),
        )
        names = x509.SubjectAlternativeName([x509.DNSName(HOST)])
        return self._sign(_name(HOST), key, "server", names), path

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        stem: str,
        extension: x509.ExtensionType,
    ) -> Path:
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_name("authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(extension, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        path = self.directory / f"{stem}.crt"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class TlsRedis(EmbeddedRedis):
    """Debian's Redis on a TLS port alone, with the manual's user beside the administrator."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        super().__init__(directory, debians_redis())
        self._authority = authority

    @property
    def url(self) -> str:
        """The administrator's."""
        return self._url("default", data_dir.secret(self.directory / "password"))

    @property
    def user_url(self) -> str:
        """The manual's user."""
        return self._url("verbatim", data_dir.secret(self.directory / "user.password"))

    def _url(self, user: str, password: str) -> str:
        known = f"ssl_ca_certs={self._authority.certificate}"
        return f"rediss://{user}:{password}@{HOST}:{self.port}/0?{known}"

    def prepare(self) -> None:
        """Close the plain port, open the other, and make the user."""
        super().prepare()
        password = data_dir.secret(self.directory / "user.password")
        secure(self, self._authority, acl().replace(PASSWORD, password))


def secure(server: EmbeddedRedis, authority: Authority, *more: str) -> None:
    """Close the plain port of a prepared server, open the other; add lines of configuration."""
    path = server.directory / "redis.conf"
    certificate, key = authority.server()
    plain = path.read_text().replace(f"\nport {server.port}\n", "\nport 0\n")
    secured = [
        f"tls-port {server.port}",
        f'tls-cert-file "{certificate}"',
        f'tls-key-file "{key}"',
        f'tls-ca-cert-file "{authority.certificate}"',
        "tls-auth-clients no",
        *more,
    ]
    data_dir.write_privately(path, "\n".join([plain, *secured, ""]))


class TlsPostgres(DebiansPostgres):
    """Debian's PostgreSQL, to which nobody connects without TLS."""

    #: Older ones have no tables of their own.
    locale: ClassVar = ["--locale=C.UTF-8"]

    def __init__(self, directory: Path, authority: Authority) -> None:
        super().__init__(directory)
        self._authority = authority

    def _url(self, role: str, database: str) -> str:
        plain = super()._url(role, database).replace("@127.0.0.1:", f"@{HOST}:")
        return f"{plain}?sslmode=verify-full&sslrootcert={self._authority.certificate}"

    def _make_cluster(self) -> None:
        super()._make_cluster()
        certificate, key = self._authority.server()
        cluster = self.directory / "cluster"
        with (cluster / "postgresql.conf").open("a") as settings:
            settings.write(f"ssl = on\nssl_cert_file = '{cluster}/server.crt'\n")
            settings.write(f"ssl_key_file = '{cluster}/server.key'\n")
        shutil.copy(certificate, cluster / "server.crt")
        shutil.copy(key, cluster / "server.key")
        (cluster / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
