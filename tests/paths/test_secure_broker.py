"""A real broker whose listeners demand SCRAM over TLS, and mutual TLS: both clients get through."""

import gc
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from neardup.infra import topics
from neardup.infra.kafka import Broker, Listener
from neardup.infra.kafka_security import spark_options
from neardup.infra.spark import spark_session
from neardup.schemas.errors import EnvironmentProblem
from neardup.schemas.settings import KafkaSettings, SparkSettings
from neardup.streaming.produce import PinProducer
from tests.infra.certificates import Authority
from tests.paths.pictures import encoded, photos, with_image

pytestmark = pytest.mark.path

USER, PASSWORD, KEY_PASSWORD = "neardup", 'hunter"2\\', "of the key"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    own = authority.sign("broker")
    tls = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": one_line(own.certificate),
        "ssl.keystore.key": one_line(own.key),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": one_line(authority.ca),
    }
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    doors = [
        Listener("SSL", {**tls, "ssl.client.auth": "required"}),
        Listener(
            "SASL_SSL",
            {
                **tls,
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "scram-sha-512.sasl.jaas.config": scram,
            },
        ),
    ]
    with Broker(tmp_path_factory.mktemp("secured"), listeners=doors) as broker:
        add_user(broker)
        topics.create_topic(broker.bootstrap, "pins", 1)
        yield broker


def one_line(pem: Path) -> str:
    """A PEM file as a value of Kafka's properties."""
    return pem.read_text("utf-8").replace("\n", "\\n")


def add_user(broker: Broker) -> None:
    from kafka import KafkaAdminClient
    from kafka.admin import UserScramCredentialUpsertion

    with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        user = UserScramCredentialUpsertion(USER, "SCRAM-SHA-512", PASSWORD)
        assert admin.alter_user_scram_credentials([user]) == {USER: None}


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    session = spark_session(SparkSettings(master="local[1]"), "secured", short_jobs=True)
    yield session
    session.stop()


def by_password(broker: Broker, authority: Authority, **changes: Any) -> KafkaSettings:
    values = {
        "bootstrap_servers": broker.bootstrap_of("SASL_SSL"),
        "security_protocol": "SASL_SSL",
        "sasl_username": USER,
        "sasl_password": PASSWORD,
        "ssl_cafile": authority.ca,
    }
    return KafkaSettings(**{**values, **changes})


def by_certificate(broker: Broker, authority: Authority, **changes: Any) -> KafkaSettings:
    own = authority.sign("client", KEY_PASSWORD)
    values = {
        "bootstrap_servers": broker.bootstrap_of("SSL"),
        "security_protocol": "SSL",
        "ssl_cafile": authority.ca,
        "ssl_certfile": own.certificate,
        "ssl_keyfile": own.key,
        "ssl_key_password": KEY_PASSWORD,
    }
    return KafkaSettings(**{**values, **changes})


@pytest.mark.parametrize("settings", [by_password, by_certificate])
def test_kafka_python_writes_and_spark_reads(
    secured: Broker, authority: Authority, spark: SparkSession, settings: Any
) -> None:
    kafka = settings(secured, authority)
    with PinProducer(kafka, "pins") as producer:
        producer.send_raw(b"rose", settings.__name__.encode())
    assert topics.topic_id(kafka, "pins") == topics.topic_id(secured.bootstrap, "pins")
    assert topics.partitions(kafka, "pins") == [0]
    assert topics.offset_ranges(kafka, "pins")[0][1] >= 1
    records = spark.read.format("kafka").options(**spark_options(kafka)).option("subscribe", "pins")
    values = [bytes(row.value) for row in records.load().collect()]
    assert settings.__name__.encode() in values


def test_who_cannot_show_what_is_demanded_is_turned_away(
    secured: Broker, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    stranger = other.sign("client")
    guess = "guessed"
    wrong = [
        by_password(secured, authority, sasl_password=guess),
        by_password(secured, authority, ssl_cafile=other.ca),
        by_certificate(
            secured, authority, ssl_certfile=stranger.certificate, ssl_keyfile=stranger.key
        ),
        by_certificate(secured, authority, ssl_certfile=None, ssl_keyfile=None),
    ]
    for kafka in wrong:
        assert guess not in refusal(kafka)
    close_sockets()


def refusal(kafka: KafkaSettings) -> str:
    with pytest.raises(EnvironmentProblem) as caught:
        topics.offset_ranges(kafka, "pins", seconds=2)
    return str(caught.value)


def close_sockets() -> None:
    """kafka-python keeps the sockets of handshakes that failed."""
    for found in gc.get_objects():
        if isinstance(found, ssl.SSLSocket):
            found.close()


def test_a_stream_leaves_its_secrets_nowhere(
    secured: Broker, authority: Authority, tmp_path: Path
) -> None:
    """Neither in the log, the tables, the checkpoint nor the help; the topic is read with both."""
    own = authority.sign("streamer", KEY_PASSWORD)
    (tmp_path / "secret").write_text(KEY_PASSWORD, "utf-8")
    topics.create_topic(secured.bootstrap, "kept", 1)
    work = tmp_path / "work"
    work.mkdir()
    (work / "neardup.toml").write_text(
        f"""[kafka]
topic = "kept"
bootstrap_servers = "{secured.bootstrap_of("SASL_SSL")}"
security_protocol = "SASL_SSL"
sasl_username = "{USER}"
ssl_cafile = "{authority.ca}"
ssl_certfile = "{own.certificate}"
ssl_keyfile = "{own.key}"
ssl_key_password_file = "{tmp_path / "secret"}"
""",
        "utf-8",
    )
    with PinProducer(by_password(secured, authority), "kept") as producer:
        for name, picture in photos(2).items():
            producer.send_raw(*with_image(name, encoded(picture)))
        producer.send_raw(b"bad", b"{")
    environment = {**os.environ, "NEARDUP_KAFKA__SASL_PASSWORD": PASSWORD}
    said = ""
    for words in (["stream", "--once"], ["stream", "--help"], ["status"], ["doctor"]):
        options = [] if "--help" in words else ["--config", "neardup.toml"]
        command = [sys.executable, "-m", "neardup.cli.main", *words, *options]
        ran = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr[-3000:]
        said += ran.stdout + ran.stderr
    (work / "said").write_text(said, "utf-8")
    assert "3 events, 1 quarantined, 2 added" in said and "lag          none" in said
    key = "".join(own.key.read_text("utf-8").splitlines()[1:-1])
    for path in work.rglob("*"):
        held = path.read_bytes() if path.is_file() else b""
        for secret in ("hunter", KEY_PASSWORD, key[:40]):
            assert secret.encode() not in held, f"{path} holds a secret"
