"""The source schema: its heads, data across migrations, foreign databases."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from orchestration.errors import UserError
from orchestration.source.migrate import migrate, migrations


def _columns(connection: psycopg.Connection, table: str) -> dict[str, str]:
    rows = connection.execute(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
        (table,),
    )
    return dict(rows.fetchall())


def test_the_early_head_has_no_events_and_no_account_on_orders(source_dsn: str) -> None:
    assert migrate(source_dsn, "0005") == "0005"
    with psycopg.connect(source_dsn) as connection:
        assert "alpaca_account_label" not in _columns(connection, "executions")
        assert _columns(connection, "execution_order_events") == {}
        assert _columns(connection, "trade_decisions")["symbol"] == "character varying(16)"
        assert _columns(connection, "trade_cursor")["cursor_symbol"] == "character varying(32)"


def test_head_0013_and_the_latest_differ_as_the_timeline_says(source_dsn: str) -> None:
    assert migrate(source_dsn, "0013") == "0013"
    with psycopg.connect(source_dsn) as connection:
        assert _columns(connection, "executions")["alpaca_account_label"] == "character varying(64)"
        assert _columns(connection, "executions")["symbol"] == "character varying(16)"
        assert _columns(connection, "lean_execution_shadow_events")["parity_status"] == "character varying(32)"
        assert "position_qty" not in _columns(connection, "execution_order_events")
    assert migrate(source_dsn) == migrations()[-1].version
    with psycopg.connect(source_dsn) as connection:
        events = _columns(connection, "execution_order_events")
        assert events["filled_qty"] == "numeric(21,9)"
        assert events["position_qty"] == "numeric(21,9)"
        assert events["symbol"] == "character varying(64)"
        assert _columns(connection, "executions")["filled_qty"] == "numeric(20,8)"
        assert connection.execute("select * from execution_tca_strategy_agg_v1").fetchall() == []


def test_migrating_again_or_to_an_older_head_changes_nothing(source_dsn: str) -> None:
    latest = migrate(source_dsn)
    assert migrate(source_dsn) == latest
    assert migrate(source_dsn, "0005") == latest


def test_migrations_backfill_the_rows_that_are_there(source_dsn: str) -> None:
    migrate(source_dsn, "0005")
    with psycopg.connect(source_dsn) as connection:
        connection.execute(
            """
            insert into strategies (id, name, base_timeframe, universe_type)
            values ('00000000-0000-0000-0000-000000000001', 's', '1Min', 'static');
            insert into trade_decisions
                (id, strategy_id, alpaca_account_label, symbol, timeframe, decision_json, decision_hash)
            values (
                '00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', 'live', 'AAPL', '1Min',
                '{}', 'h'
            );
            insert into executions
                (id, trade_decision_id, alpaca_order_id, symbol, side, order_type, time_in_force, submitted_qty, status,
                 raw_order)
            values
                ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000002', 'o1', 'AAPL', 'buy',
                 'market', 'day', 1, 'new', '{"_execution_adapter": "alpaca_fallback"}'),
                ('00000000-0000-0000-0000-000000000004', null, 'o2', 'AAPL', 'buy', 'market', 'day', 1, 'new', null);
            """
        )
    migrate(source_dsn, "0013")
    with psycopg.connect(source_dsn) as connection:
        rows = connection.execute(
            "select alpaca_order_id, alpaca_account_label, execution_actual_adapter, execution_expected_adapter,"
            " execution_fallback_count from executions order by 1"
        ).fetchall()
        assert rows == [("o1", "live", "alpaca", "unknown", 0), ("o2", "paper", "unknown", "unknown", 0)]
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("update executions set execution_fallback_count = 1")


def test_two_migrators_at_once_apply_each_migration_once(source_dsn: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(migrate, [source_dsn] * 4)) == {migrations()[-1].version}


def test_a_real_torghut_is_refused_untouched(source_dsn: str) -> None:
    with psycopg.connect(source_dsn) as connection:
        connection.execute("create table alembic_version (version_num varchar(32) primary key)")
    with pytest.raises(UserError, match="real Torghut"):
        migrate(source_dsn)
    with psycopg.connect(source_dsn) as connection:
        assert _columns(connection, "strategies") == {}
        assert _columns(connection, "jangar_schema_migrations") == {}


def test_tables_of_somebody_else_are_refused(source_dsn: str) -> None:
    with psycopg.connect(source_dsn) as connection:
        connection.execute("create table trade_decisions (id int)")
    with pytest.raises(UserError, match="did not make"):
        migrate(source_dsn)


def test_an_unknown_head_lists_the_known_ones(source_dsn: str) -> None:
    with pytest.raises(UserError) as caught:
        migrate(source_dsn, "0099")
    assert "0013" in caught.value.remedy


def test_a_lock_that_is_not_released_is_explained(source_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(source_dsn, "0005")
    monkeypatch.setattr("orchestration.source.migrate._LOCK_TIMEOUT", "100ms")
    with psycopg.connect(source_dsn) as connection:
        connection.execute("lock table executions in access share mode")
        with pytest.raises(UserError, match="holds a lock"):
            migrate(source_dsn, "0006")
    assert migrate(source_dsn, "0006") == "0006"
