"""How clients prove who they are to Kafka, and check who it is: for kafka-python and for Spark.

Both get the same from the settings: SASL (SCRAM or PLAIN) over TLS or not, and mutual TLS. Spark's
options carry certificates and keys themselves instead of paths, so executors on other hosts need no
files; whoever may read a running query's options can read them (see SECURITY.md).
"""

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from neardup.schemas.errors import SettingsError
from neardup.schemas.settings import KafkaSettings

_LOGIN_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


def servers_of(kafka: KafkaSettings | str) -> str:
    """``host:port[,host:port...]`` of settings, or of itself: a broker that asks for nothing."""
    return kafka if isinstance(kafka, str) else kafka.bootstrap_servers


def client_options(kafka: KafkaSettings | str) -> dict[str, Any]:
    """Keyword arguments for kafka-python's clients. Raises SettingsError for a file it lacks."""
    options: dict[str, Any] = {"bootstrap_servers": servers_of(kafka)}
    if isinstance(kafka, str):
        return options
    options["security_protocol"] = kafka.security_protocol
    if kafka.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = kafka.sasl_mechanism
        options["sasl_plain_username"] = kafka.sasl_username
        options["sasl_plain_password"] = _password(kafka)
    if kafka.security_protocol.endswith("SSL"):
        for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
            path = getattr(kafka, name)
            if path is not None:
                _text(path, f"kafka.{name}")
                options[name] = str(path)
        options["ssl_password"] = _key_password(kafka)
    return options


def spark_options(kafka: KafkaSettings) -> dict[str, str]:
    """Options of Spark's Kafka source and sink. Raises SettingsError for a file that it lacks."""
    options = {"kafka.bootstrap.servers": kafka.bootstrap_servers}
    if kafka.security_protocol == "PLAINTEXT":
        return options
    options["kafka.security.protocol"] = kafka.security_protocol
    if kafka.security_protocol.startswith("SASL"):
        options["kafka.sasl.mechanism"] = kafka.sasl_mechanism
        options["kafka.sasl.jaas.config"] = (
            f"{_LOGIN_MODULES[kafka.sasl_mechanism]} required "
            f"username={_quoted(kafka.sasl_username or '')} password={_quoted(_password(kafka))};"
        )
    if kafka.security_protocol.endswith("SSL"):
        options |= _stores(kafka)
    return options


def _stores(kafka: KafkaSettings) -> dict[str, str]:
    stores = {}
    if kafka.ssl_cafile is not None:
        stores["kafka.ssl.truststore.type"] = "PEM"
        stores["kafka.ssl.truststore.certificates"] = _text(kafka.ssl_cafile, "kafka.ssl_cafile")
    if kafka.ssl_certfile is not None and kafka.ssl_keyfile is not None:
        stores["kafka.ssl.keystore.type"] = "PEM"
        stores["kafka.ssl.keystore.certificate.chain"] = _text(
            kafka.ssl_certfile, "kafka.ssl_certfile"
        )
        stores["kafka.ssl.keystore.key"] = _plain_key(kafka.ssl_keyfile, _key_password(kafka))
    return stores


def _plain_key(path: Path, password: str | None) -> str:
    """A private key in PKCS #8 without encryption: Java's client reads few other forms."""
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(
            _text(path, "kafka.ssl_keyfile").encode(), password.encode() if password else None
        )
    except (ValueError, TypeError) as error:
        raise SettingsError(
            f"{path} (kafka.ssl_keyfile) cannot be used as a private key ({error}): it must be in "
            "PEM, and if it is encrypted kafka.ssl_key_password_file must name its password."
        ) from None
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain).decode()


def _password(kafka: KafkaSettings) -> str:
    found = _secret(kafka.sasl_password, kafka.sasl_password_file, "kafka.sasl_password_file")
    return found or ""


def _key_password(kafka: KafkaSettings) -> str | None:
    return _secret(
        kafka.ssl_key_password, kafka.ssl_key_password_file, "kafka.ssl_key_password_file"
    )


def _secret(value: SecretStr | None, file: Path | None, name: str) -> str | None:
    if value is not None:
        return value.get_secret_value()
    return None if file is None else _text(file, name).removesuffix("\n").removesuffix("\r")


def _text(path: Path, name: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise SettingsError(
            f"{path} ({name}) cannot be read ({reason}): mend the path, or let this user read it."
        ) from None


def _quoted(value: str) -> str:
    """A value in JAAS's double quotes."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
