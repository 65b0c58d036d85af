"""Every setting of every process, in one typed place.

Values come from the environment, then from `.env` in the working directory, then from the defaults below.
`docs/settings.md` is generated from this class (`jangar-quant settings --markdown`); a test keeps it true.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestration.errors import UserError

# The checkout: dbt_project.yml, models, seeds and macros live here.
PROJECT_DIR = Path(__file__).resolve().parent.parent

Port = Annotated[int, Field(ge=1, le=65535)]
AbsolutePath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


class Settings(BaseSettings):
    """Settings of jangar-quant. A secret is a `SecretStr`: it prints as `**********`."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, populate_by_name=True
    )

    state_dir: AbsolutePath = Field(
        default=Path(".jangar-quant"),
        alias="JANGAR_QUANT_STATE_DIR",
        description="Directory of everything that outlives a process: embedded databases, logs, Dagster's storage.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", alias="JANGAR_QUANT_LOG_LEVEL", description="Lowest level that is logged."
    )

    # --- source: the Postgres that Torghut writes
    torghut_db_dsn: SecretStr | None = Field(
        default=None,
        alias="TORGHUT_DB_DSN",
        description="Connection string of Torghut's Postgres. Unset: an embedded Postgres with a simulated desk.",
    )
    torghut_db_sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = Field(
        default=None,
        alias="TORGHUT_DB_SSLMODE",
        description="TLS mode of the source connection. Unset: `verify-full`, and `prefer` on loopback or a socket.",
    )
    torghut_db_ca_cert: str | None = Field(
        default=None,
        alias="TORGHUT_DB_CA_CERT",
        description="Certificate authority of the source: a path, or the PEM text itself.",
    )
    source_port: Port = Field(
        default=54329, alias="JANGAR_QUANT_SOURCE_PORT", description="TCP port of the embedded Postgres on 127.0.0.1."
    )

    # --- warehouse: ClickHouse
    clickhouse_url: SecretStr | None = Field(
        default=None,
        alias="CLICKHOUSE_URL",
        description="HTTP(S) URL of a ClickHouse server. Unset: the embedded ClickHouse.",
    )
    clickhouse_user: str = Field(
        default="default", alias="CLICKHOUSE_USER", description="User of the warehouse; wins over none in the URL."
    )
    clickhouse_password: SecretStr = Field(
        default=SecretStr(""), alias="CLICKHOUSE_PASSWORD", description="Password of that user."
    )
    clickhouse_cluster: str | None = Field(
        default=None, alias="CLICKHOUSE_CLUSTER", description="Cluster name: tables become Replicated, DDL runs on it."
    )
    warehouse_host: str = Field(
        default="127.0.0.1", alias="JANGAR_QUANT_WAREHOUSE_HOST", description="Address of the embedded ClickHouse."
    )
    warehouse_port: Port = Field(
        default=8123,
        alias="JANGAR_QUANT_WAREHOUSE_PORT",
        description="Port of the embedded ClickHouse's HTTP interface.",
    )
    warehouse_readonly_user: str = Field(
        default="reader",
        alias="JANGAR_QUANT_WAREHOUSE_READONLY_USER",
        description="Name of the read-only user as which the API reads; the embedded ClickHouse makes it.",
    )
    warehouse_readonly_password: SecretStr = Field(
        default=SecretStr(""),
        alias="JANGAR_QUANT_WAREHOUSE_READONLY_PASSWORD",
        description="Password of the read-only user; `make up` makes one up. Empty: there is no such user.",
    )
    ta_clickhouse_url: SecretStr | None = Field(
        default=None,
        alias="TORGHUT_TA_CLICKHOUSE_URL",
        description="HTTP(S) URL of the ClickHouse that holds `torghut.ta_*`. Unset: the warehouse itself.",
    )

    # --- mirror
    mirror_slot: str = Field(
        default="jangar_quant",
        alias="JANGAR_QUANT_MIRROR_SLOT",
        pattern=r"^[a-z0-9_]{1,63}$",
        description="Name of the logical replication slot.",
    )
    mirror_publication: str = Field(
        default="jangar_quant",
        alias="JANGAR_QUANT_MIRROR_PUBLICATION",
        pattern=r"^[a-z0-9_]{1,63}$",
        description="Name of the publication.",
    )
    mirror_flush_ms: int = Field(
        default=100,
        ge=1,
        le=60_000,
        alias="JANGAR_QUANT_MIRROR_FLUSH_MS",
        description="Longest time that a received change waits for its batch, in milliseconds.",
    )
    mirror_heartbeat_seconds: float = Field(
        default=1.0,
        ge=0.1,
        le=60,
        alias="JANGAR_QUANT_MIRROR_HEARTBEAT_SECONDS",
        description="Interval of the heartbeat that proves completeness while the source is idle, in seconds.",
    )
    mirror_history_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        alias="JANGAR_QUANT_MIRROR_HISTORY_DAYS",
        description="Days that `<table>__history` keeps a version. Unset: for ever.",
    )

    # --- quant control plane
    control_plane_enabled: bool = Field(
        default=False,
        alias="JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED",
        description="Compute and serve metrics. `make up` turns it on unless it is set.",
    )
    compute_interval_ms: int = Field(
        default=1000,
        ge=1000,
        le=60_000,
        multiple_of=1000,
        alias="JANGAR_TORGHUT_QUANT_COMPUTE_INTERVAL_MS",
        description="Cadence of the light tier, in milliseconds (whole seconds).",
    )
    medium_compute_interval_ms: int = Field(
        default=5000,
        ge=1000,
        le=300_000,
        multiple_of=1000,
        alias="JANGAR_TORGHUT_QUANT_MEDIUM_COMPUTE_INTERVAL_MS",
        description="Cadence of the medium tier (returns, risk, execution), in milliseconds (whole seconds).",
    )
    heavy_compute_interval_ms: int = Field(
        default=30_000,
        ge=1000,
        le=3_600_000,
        multiple_of=1000,
        alias="JANGAR_TORGHUT_QUANT_HEAVY_COMPUTE_INTERVAL_MS",
        description="Cadence of the heavy tier (VaR, CVaR, beta, longest drawdown), in milliseconds (whole seconds).",
    )
    stream_heartbeat_ms: int = Field(
        default=15_000,
        ge=1000,
        le=60_000,
        alias="JANGAR_TORGHUT_QUANT_STREAM_HEARTBEAT_MS",
        description="After this a stream that has nothing to tell says that it is there, in milliseconds.",
    )
    max_staleness_seconds: int = Field(
        default=15,
        ge=1,
        alias="JANGAR_TORGHUT_QUANT_MAX_STALENESS_SECONDS",
        description="Age of a frame or of a watermark, in seconds, beyond which quality is `stale`.",
    )

    # --- notifications
    notify_urls: SecretStr = Field(
        default=SecretStr(""),
        alias="JANGAR_QUANT_NOTIFY_URLS",
        description=(
            "Where alerts are told, as Apprise URLs behind one another with spaces between:"
            " `json://host/path` (a webhook), `mailtos://...`, `slack://...`. Empty: nowhere."
        ),
    )
    notify_severity: Literal["info", "warning", "critical"] = Field(
        default="warning", alias="JANGAR_QUANT_NOTIFY_SEVERITY", description="Lowest severity that is told."
    )
    notify_repeat_seconds: int = Field(
        default=14_400,
        ge=60,
        le=604_800,
        alias="JANGAR_QUANT_NOTIFY_REPEAT_SECONDS",
        description="After this an alert that is still open, and that nobody acknowledged, is told again, in seconds.",
    )
    notify_group_seconds: float = Field(
        default=10.0,
        ge=0,
        le=600,
        alias="JANGAR_QUANT_NOTIFY_GROUP_SECONDS",
        description="How long news wait for others, with which they become one message, in seconds.",
    )

    # --- API and Dagster
    api_host: str = Field(default="127.0.0.1", alias="JANGAR_QUANT_API_HOST", description="Address of the API.")
    api_port: Port = Field(default=8080, alias="JANGAR_QUANT_API_PORT", description="Port of the API.")
    api_keys_file: AbsolutePath | None = Field(
        default=None,
        alias="JANGAR_QUANT_API_KEYS_FILE",
        description="File of API keys (`jangar-quant keys`). Unset: `api-keys.json` in the state directory.",
    )
    api_allowed_hosts: str = Field(
        default="",
        alias="JANGAR_QUANT_API_ALLOWED_HOSTS",
        description=(
            "Names by which the API is called, with spaces between. Empty: on loopback those of loopback, else any."
        ),
    )
    api_requests_per_second: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        alias="JANGAR_QUANT_API_REQUESTS_PER_SECOND",
        description="Requests per second and client, over ten seconds, beyond which the API answers 429.",
    )
    api_streams_per_client: int = Field(
        default=100,
        ge=1,
        le=100_000,
        alias="JANGAR_QUANT_API_STREAMS_PER_CLIENT",
        description="Streams that one client may hold open.",
    )
    oidc_issuer: str = Field(
        default="",
        alias="JANGAR_QUANT_OIDC_ISSUER",
        pattern=r"^(|https?://[^\s]+)$",
        description="Issuer of OpenID Connect bearer tokens that the API takes. Empty: none.",
    )
    oidc_audience: str = Field(
        default="", alias="JANGAR_QUANT_OIDC_AUDIENCE", description="Audience that such a token must name."
    )
    oidc_claim: str = Field(
        default="scope",
        alias="JANGAR_QUANT_OIDC_CLAIM",
        description="Claim whose values `quant:read` and `quant:operate` give the scopes of the same name.",
    )
    session_secret: SecretStr = Field(
        default=SecretStr(""),
        alias="JANGAR_QUANT_SESSION_SECRET",
        description="Signs the browser's cookie; the same for all replicas. Empty: made once, in the state directory.",
    )
    dagster_port: Port = Field(
        default=3000, alias="JANGAR_QUANT_DAGSTER_PORT", description="Port of Dagster's web server."
    )
    dagster_code_port: Port = Field(
        default=3001,
        alias="JANGAR_QUANT_DAGSTER_CODE_PORT",
        description="Port of the server that gives Dagster the project's definitions.",
    )

    dagster_environment: str = Field(
        default="embedded",
        alias="JANGAR_QUANT_DAGSTER_ENVIRONMENT",
        description="What Dagster runs by itself, by docs/dagster.md: `embedded`, `production`, or `manual` (nothing).",
    )
    dagster_postgres_url: SecretStr | None = Field(
        default=None,
        alias="DAGSTER_POSTGRES_URL",
        description="URL of the Postgres database in which Dagster keeps its runs in `production`.",
    )

    # --- simulated desk
    desk_seed: int = Field(default=7, alias="JANGAR_QUANT_DESK_SEED", description="Seed of the simulated desk.")
    desk_rate: float = Field(
        default=1.0,
        gt=0,
        le=10_000,
        alias="JANGAR_QUANT_DESK_RATE",
        description="Decisions per second of the simulated desk while it is live.",
    )
    desk_copies: int = Field(
        default=1,
        ge=1,
        le=200,
        alias="JANGAR_QUANT_DESK_COPIES",
        description=(
            "How many times the simulated desk has its two accounts of three strategies each: 34 are 204"
            " strategy-accounts. Copies of `paper-crypto` trade around the clock: each needs a row in"
            " `seeds/account_settings.csv` that says so."
        ),
    )
    desk_history_days: int = Field(
        default=30,
        ge=0,
        le=365,
        alias="JANGAR_QUANT_DESK_HISTORY_DAYS",
        description="Calendar days of history that the desk writes on its first start.",
    )

    @property
    def keys_file(self) -> Path:
        """File of the API keys."""
        return self.api_keys_file or self.state_dir / "api-keys.json"

    @property
    def embedded_source(self) -> bool:
        """Whether the source is the embedded Postgres."""
        return self.torghut_db_dsn is None

    @property
    def embedded_warehouse(self) -> bool:
        """Whether the warehouse is the embedded ClickHouse."""
        return self.clickhouse_url is None

    def warehouse_url(self) -> str:
        """URL of the warehouse's HTTP interface without credentials of its own, for display and for clients."""
        if self.clickhouse_url is not None:
            return self.clickhouse_url.get_secret_value()
        return f"http://{self.warehouse_host}:{self.warehouse_port}"

    def source_dsn(self) -> str:
        """Connection string of the source as given (may hold a password), or of the embedded Postgres.

        The embedded server's password is in the file that `passfile` names (`orchestration/source/embedded.py`).
        """
        if self.torghut_db_dsn is not None:
            return self.torghut_db_dsn.get_secret_value()
        passfile = quote(str(self.source_data_dir / "client.pgpass"), safe="")
        return f"postgresql://torghut_app@127.0.0.1:{self.source_port}/torghut?passfile={passfile}"

    @property
    def source_data_dir(self) -> Path:
        """Data directory of the embedded Postgres."""
        return self.state_dir / "postgres"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the settings once per process.

    Raises:
        UserError: a variable has a value out of its bounds; the message names the variable, never a secret's value.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        raise UserError(f"{name}: {first['msg']}.", "See docs/settings.md for its meaning and bounds.") from None
