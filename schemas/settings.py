"""All settings in one frozen object: read once from a TOML file, overridden by the environment.

``NEARDUP_KAFKA__TOPIC=pins2`` overrides ``topic`` in ``[kafka]``. Relative paths in a file are
relative to the folder of that file, so a configuration can be moved together with its lake.
"""

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from neardup.schemas.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MIB = 1024 * 1024

QUERY_VIEWS = ("mirror", "turns")
"""As what a new picture may be searched for beside upright: mirror image, quarter turns."""


_SECRET_NAMES = re.compile("password|secret|token|credential|jaas|keystore.key|access.?key", re.I)
"""Names whose values are not printed, as those in ``spark.options``."""


class Section(BaseModel):
    """One table of the file. Unknown keys are errors: a misspelt setting must not pass unseen."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class LakeSettings(Section):
    path: Path = Field(Path("lake"), description="Folder that holds the Delta tables.")


SECRETS = ("sasl_password", "ssl_key_password")
"""Settings of `kafka` that must not stand in a file beside others."""


class KafkaSettings(Section):
    bootstrap_servers: str = Field("127.0.0.1:9092", description="host:port[,host:port...]")
    topic: str = Field("pins", min_length=1, description="Topic of pin events.")
    changes_topic: str = Field(
        "", description="Topic that changes of clusters are sent to; empty: none are sent."
    )

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = Field(
        None, description="Only from NEARDUP_KAFKA__SASL_PASSWORD, never in the file."
    )
    sasl_password_file: Path | None = Field(None, description="A file that holds it alone.")
    ssl_cafile: Path | None = Field(None, description="Who may sign brokers' certificates; PEM.")
    ssl_certfile: Path | None = Field(None, description="Certificate for mutual TLS; PEM.")
    ssl_keyfile: Path | None = Field(None, description="Its private key; PEM.")
    ssl_key_password: SecretStr | None = Field(
        None, description="Only from NEARDUP_KAFKA__SSL_KEY_PASSWORD, never in the file."
    )
    ssl_key_password_file: Path | None = Field(None, description="A file that holds it alone.")

    @model_validator(mode="after")
    def _whole_credentials(self) -> Self:
        for name in SECRETS:
            if getattr(self, name) is not None and getattr(self, f"{name}_file") is not None:
                raise ValueError(f"{name} and {name}_file are both set; set one of them")
        password = self.sasl_password or self.sasl_password_file
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and password):
            raise ValueError(
                f"{self.security_protocol} needs sasl_username and a password "
                "(sasl_password_file, or NEARDUP_KAFKA__SASL_PASSWORD)"
            )
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            raise ValueError("ssl_certfile and ssl_keyfile are needed together")
        return self

    @field_validator("bootstrap_servers")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        for server in value.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdigit():
                raise ValueError(f"'{server}' is not host:port")
        return value


class EventSettings(Section):
    allowed_roots: tuple[Path, ...] = Field(
        (), description="Folders that `image_uri` may point into; none by default."
    )
    max_event_bytes: Annotated[int, Field(ge=1024)] = 4 * MIB
    max_image_bytes: Annotated[int, Field(ge=1024)] = 32 * MIB
    max_pixels: Annotated[int, Field(ge=1)] = 50_000_000
    source_quota: Annotated[int, Field(ge=0)] = Field(
        0, description="Events of one `source` that are taken of a window; 0: any number."
    )
    source_quota_window: Annotated[int, Field(ge=1)] = Field(
        10_000, description="Positions of a partition that are a window; the next begins anew."
    )
    max_seconds: Annotated[float, Field(gt=0)] = Field(
        30.0, description="What reading and decoding one event may take before it is quarantined."
    )


class ModelSettings(Section):
    embedder: str = Field("mobilenet_v1", description='Or "keras:VGG16", "keras:InceptionV3" ...')
    embedder_weights: Path | None = Field(None, description="Local weights of a keras: embedder.")
    hasher: Path | None = Field(None, description="Hasher artifact; the bundled one if not set.")
    classifier: Path | None = Field(None, description="Classifier artifact; bundled if not set.")


class StreamSettings(Section):
    checkpoint: Path | None = Field(None, description="Spark's checkpoint; in the lake if not set.")
    trigger_seconds: Annotated[float, Field(ge=0)] = Field(
        0.0, description="Least time between two batches; 0: one after the other while events come."
    )
    target_batch_seconds: Annotated[float, Field(gt=0)] = Field(
        3.0, description="What a batch may take: of a stream that is behind they are so large."
    )
    first_events_per_batch: Annotated[int, Field(ge=1)] = Field(
        3_000, description="The most after a start: what came in the meantime, before any was seen."
    )
    min_events_per_batch: Annotated[int, Field(ge=1)] = Field(
        250, description="A batch may hold so many events even if they take longer."
    )
    max_events_per_batch: Annotated[int, Field(ge=1)] = Field(
        20_000, description="... and never holds more, whatever min_events_per_batch says."
    )
    flush_pins: Annotated[int, Field(ge=1)] = Field(
        16_384, description="Pins a segment holds; the memtable is flushed when it has as many."
    )
    max_links: Annotated[int, Field(ge=1)] = Field(
        32, description="Links kept per pin, nearest first: what bounds the work beside a crowd."
    )
    thumbnail_px: Annotated[int, Field(ge=0, le=1024)] = Field(
        0, description="Longest side of the thumbnail kept in `pins`; 0 keeps none."
    )
    query_views: tuple[str, ...] = Field(
        (), description="Further views searched for: mirror, turns; each costs an embedding."
    )
    maintenance_seconds: Annotated[float, Field(gt=0)] = 60.0
    cache_bytes: Annotated[int, Field(ge=MIB)] = Field(
        16_384 * MIB,
        description="Disk that decoded segments may take on each host: 820 bytes a pin, and again "
        "as much while they are merged.",
    )
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        0, description="Where /metrics and /healthz are served; 0: nowhere."
    )
    metrics_host: str = Field("127.0.0.1", description="The address that they are served at.")
    max_lag_events: Annotated[int, Field(ge=0)] = Field(
        100_000, description="/healthz fails when more events than these wait in the topic."
    )
    max_batch_seconds: Annotated[float, Field(gt=0)] = Field(
        60.0, description="... when a batch takes longer, or events wait so long without one."
    )
    max_start_seconds: Annotated[float, Field(gt=0)] = Field(
        900.0, description="... or when the first batch comes later than this after the start."
    )
    log_json: bool = Field(False, description="One JSON object a line instead of text.")

    @field_validator("query_views")
    @classmethod
    def _known_views(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in QUERY_VIEWS:
                raise ValueError(f"'{name}' is no view; there are {', '.join(QUERY_VIEWS)}")
        return tuple(name for name in QUERY_VIEWS if name in value)


class SparkSettings(Section):
    master: str = "local[*]"
    driver_memory: str = "1g"
    options: dict[str, str] = Field(
        default_factory=dict,
        description="Further spark.* settings, passed on as they are.",
        repr=False,
    )


class CompactSettings(Section):
    max_cut_pins: Annotated[int, Field(ge=2)] = Field(
        512, description="Exact cuts see pieces of at most so many pins (cost grows with n^3)."
    )
    publish_wait_seconds: Annotated[float, Field(ge=0)] = Field(
        300.0, description="How long `compact` waits for a running stream to publish."
    )
    max_moved_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.05, description="A compaction that moves more of the live pins asks for --force."
    )
    keep_generations: Annotated[int, Field(ge=2)] = Field(
        7, description="Newest generations that stay, to be rolled back to; older ones go."
    )
    spark_pins: Annotated[int, Field(ge=0)] = Field(
        2_000_000,
        description="From so many pins to recompute on, Spark does it; for fewer, this process, "
        "with 2 kB of memory each.",
    )


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="NEARDUP_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    lake: LakeSettings = LakeSettings()
    kafka: KafkaSettings = KafkaSettings()
    events: EventSettings = EventSettings()
    models: ModelSettings = ModelSettings()
    stream: StreamSettings = StreamSettings()
    spark: SparkSettings = SparkSettings()
    compact: CompactSettings = CompactSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings  # the environment wins over the file

    @property
    def checkpoint(self) -> Path:
        return self.stream.checkpoint or self.lake.path / "_checkpoints" / "stream"

    def describe(self) -> str:
        """The resolved values, one ``section.name = value`` a line; no secrets."""
        sections = self.model_dump(mode="json")
        return "\n".join(
            f"{section}.{name} = {_without_secrets(value)}"
            for section, values in sections.items()
            for name, value in values.items()
        )


def _without_secrets(value: Any) -> Any:
    """A dict without the values of what sounds like a secret; pydantic has hidden its own."""
    if not isinstance(value, dict):
        return value
    return {key: "**********" if _SECRET_NAMES.search(key) else value[key] for key in value}


def load_settings(path: Path | None = None, **overrides: dict[str, Any]) -> Settings:
    """Read ``path`` (defaults alone if None), then ``overrides``, then the environment.

    Raises SettingsError with one sentence per wrong setting.
    """
    values = _read_toml(path) if path else {}
    _refuse_secrets(values, path)
    for section, changes in overrides.items():
        values[section] = {**values.get(section, {}), **changes}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError(_sentences(error, path)) from None
    return _with_absolute_paths(settings, path.resolve().parent if path else Path.cwd())


def _refuse_secrets(values: dict[str, Any], path: Path | None) -> None:
    kafka = values.get("kafka")
    for name in SECRETS:
        if isinstance(kafka, dict) and name in kafka:
            raise SettingsError(
                f"{path} holds kafka.{name}: a secret does not belong beside other settings. Set "
                f"the variable NEARDUP_KAFKA__{name.upper()}, or write it into a file of its own "
                f"and name that in kafka.{name}_file. Change the secret if others read {path}."
            )


def _with_absolute_paths(settings: Settings, base: Path) -> Settings:
    sections = {}
    for name in Settings.model_fields:
        section = getattr(settings, name)
        paths = {key: _absolute(value, base) for key, value in section}
        sections[name] = section.model_copy(update=paths)
    return settings.model_copy(update=sections)


def _absolute(value: Any, base: Path) -> Any:
    if isinstance(value, Path):
        return (base / value.expanduser()).resolve()
    if isinstance(value, tuple):
        return tuple(_absolute(item, base) for item in value)
    return value


def _sentences(error: ValidationError, path: Path | None) -> str:
    lines = [f"Wrong settings (from {path or 'defaults'} and the environment):"]
    for problem in error.errors():
        names = [str(part) for part in problem["loc"]]
        where = ".".join(names)
        variable = "NEARDUP_" + "__".join(names).upper()
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {where}: there is no such setting; remove it or mend its name.")
        else:
            lines.append(
                f"  {where}{_input(problem)}: {problem['msg']}. "
                f"Mend it in the file or set {variable}."
            )
    return "\n".join(lines)


def _input(problem: "ErrorDetails") -> str:
    """The value that was wrong; not of a whole section, which may hold secrets, nor of a secret."""
    value, name = problem["input"], str(problem["loc"][-1]) if problem["loc"] else ""
    if isinstance(value, dict | BaseModel) or _SECRET_NAMES.search(name):
        return ""
    return f" = {value!r}"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"No settings file at {path}: give --config another path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML ({error}): mend that line.") from None
