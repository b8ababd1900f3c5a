"""Credentials: from where they may come, to whom they are given, and that nothing prints them."""

import logging
from pathlib import Path

import pytest

from neardup.infra.kafka_security import client_options, spark_options
from neardup.schemas.errors import SettingsError
from neardup.schemas.settings import Settings, load_settings
from tests.infra.certificates import Authority

SECRET = "tr0ub4dor&3"  # noqa: S105


def written(folder: Path, text: str) -> Path:
    path = folder / "neardup.toml"
    path.write_text(text, "utf-8")
    return path


SASL = 'security_protocol = "SASL_SSL"\nsasl_username = "neardup"\n'


def settings(folder: Path, more: str = "") -> Settings:
    (folder / "password").write_text(SECRET + "\n", "utf-8")
    return load_settings(written(folder, f'[kafka]\n{SASL}sasl_password_file = "password"\n{more}'))


def test_a_broker_that_asks_for_nothing() -> None:
    assert client_options("h:1") == {"bootstrap_servers": "h:1"}
    kafka = load_settings().kafka
    assert client_options(kafka)["security_protocol"] == "PLAINTEXT"
    assert spark_options(kafka) == {"kafka.bootstrap.servers": kafka.bootstrap_servers}


def test_both_clients_get_the_same(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    own = authority.sign("client")
    files = 'ssl_cafile = "ca.pem"\nssl_certfile = "client.pem"\nssl_keyfile = "client-key.pem"\n'
    kafka = settings(tmp_path, files).kafka
    options = client_options(kafka)
    assert options["security_protocol"] == "SASL_SSL"
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "neardup"
    assert options["sasl_plain_password"] == SECRET
    assert options["ssl_keyfile"] == str(own.key)
    spark = spark_options(kafka)
    assert spark["kafka.security.protocol"] == "SASL_SSL"
    assert spark["kafka.sasl.jaas.config"] == (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="neardup" password="{SECRET}";'
    )
    assert spark["kafka.ssl.truststore.certificates"] == authority.ca.read_text("utf-8")
    assert spark["kafka.ssl.keystore.certificate.chain"] == own.certificate.read_text("utf-8")
    assert spark["kafka.ssl.keystore.key"] == own.key.read_text("utf-8")


def test_a_password_with_quotes_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEARDUP_KAFKA__SASL_PASSWORD", 'a"b\\c')
    kafka = load_settings(written(tmp_path, f"[kafka]\n{SASL}")).kafka
    assert spark_options(kafka)["kafka.sasl.jaas.config"].endswith(r'password="a\"b\\c";')
    assert client_options(kafka)["sasl_plain_password"] == 'a"b\\c'  # noqa: S105


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'{SASL}sasl_password = "{SECRET}"', "does not belong beside other settings"),
        (f'{SASL}ssl_key_password = "{SECRET}"', "NEARDUP_KAFKA__SSL_KEY_PASSWORD"),
        (SASL, "SASL_SSL needs sasl_username and a password"),
        ('ssl_certfile = "a.pem"', "ssl_certfile and ssl_keyfile are needed together"),
        ('security_protocol = "TLS"', "kafka.security_protocol = 'TLS'"),
    ],
)
def test_mistakes_are_sentences_without_the_secret(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(written(tmp_path, f"[kafka]\n{text}\n"))
    assert said in str(caught.value) and SECRET not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    kafka = settings(tmp_path, 'ssl_cafile = "absent.pem"').kafka
    for options in (client_options, spark_options):
        with pytest.raises(
            SettingsError, match=r"absent\.pem \(kafka\.ssl_cafile\) cannot be read"
        ):
            options(kafka)


def test_a_key_of_any_form_reaches_spark_as_it_can_read_it(tmp_path: Path) -> None:
    Authority(tmp_path).sign("client", SECRET)
    files = 'ssl_certfile = "client.pem"\nssl_keyfile = "client-key.pem"\n'
    (tmp_path / "key-password").write_text(SECRET, "utf-8")
    kafka = settings(tmp_path, files + 'ssl_key_password_file = "key-password"\n').kafka
    assert "BEGIN PRIVATE KEY" in spark_options(kafka)["kafka.ssl.keystore.key"]
    assert client_options(kafka)["ssl_password"] == SECRET
    for lacking in ("", 'ssl_key_password_file = "neardup.toml"\n'):
        with pytest.raises(SettingsError, match="cannot be used as a private key"):
            spark_options(settings(tmp_path, files + lacking).kafka)


def test_nothing_prints_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the resolved settings, which the stream writes to its log, nor any form of them."""
    monkeypatch.setenv("NEARDUP_KAFKA__SASL_PASSWORD", SECRET)
    monkeypatch.setenv("NEARDUP_KAFKA__SSL_KEY_PASSWORD", SECRET)
    options = (
        f'"spark.ssl.keyPassword" = "{SECRET}"\n"spark.x.secret" = "{SECRET}"\n"spark.y" = "z"'
    )
    path = written(tmp_path, f"[kafka]\n{SASL}[spark.options]\n{options}\n")
    found = load_settings(path)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("neardup").info("%s %r %s", found.kafka, found.kafka, found.describe())
    for said in (
        found.describe(),
        str(found),
        repr(found),
        found.kafka.model_dump_json(),
        caplog.text,
    ):
        assert SECRET not in said
    assert "kafka.sasl_password = **********" in found.describe()
    assert "'spark.y': 'z'" in found.describe()


def test_a_wrong_setting_beside_a_secret_does_not_print_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEARDUP_KAFKA__SASL_PASSWORD", SECRET)
    both = f'[kafka]\n{SASL}sasl_password_file = "password"\n'
    for text in (both, f"[kafka]\n{SASL}ssl_key_password_file = 7\n"):
        with pytest.raises(SettingsError) as caught:
            load_settings(written(tmp_path, text))
        assert SECRET not in str(caught.value)
