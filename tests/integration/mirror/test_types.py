"""Every type of the mapping arrives exactly, from snapshot and stream; what cannot be held is kept apart."""

import datetime as dt
import uuid
from decimal import Decimal

import pytest

from tests.integration.mirror.harness import DATABASE, Lab, every_server

DEFINITION = """
create domain price as numeric(12,4) check (value > 0);
create type mood as enum ('sad', 'ok', 'happy ''quoted''');
create type pair as (a int, b text);
create table v (
    id bigint primary key,
    i2 int2, i4 int4, i8 int8, o oid,
    d numeric(20,8), d76 numeric(76,30), dneg numeric(5,-2), dsmall numeric(3,5), dfree numeric, dom price,
    f4 float4, f8 float8, b bool, u uuid, t text, vc varchar(20), c char(5), j json, jb jsonb,
    tz timestamptz, ts timestamp, da date, ti time, tt timetz, iv interval, m mood, by bytea,
    ip inet, r int4range, p pair, nn timestamptz not null default '2026-01-01 00:00:00+00'
);
create table a (
    id int primary key, i int[], t text[], n numeric(10,2)[], b bool[], u uuid[], z timestamptz[], j jsonb[]
)
"""
# Columns of v whose values Postgres and ClickHouse clients return as equal Python objects.
SAME = (
    "id, i2, i4, i8, o, d, d76, dneg, dsmall, dom, f8, b, u, t, vc, c, m::text, tz, ts at time zone 'UTC', da, "
    "dfree::text, j::text, jb::text, tt::text, iv::text, nullif(format('%s', ip), ''), "
    "r::text, p::text, ti::text, f4, nn"
)
SAME_IN_COPY = (
    "id, i2, i4, i8, o, d, d76, dneg, dsmall, dom, f8, b, u, t, vc, c, m, tz, ts, da, "
    "dfree, j, jb, tt, iv, ip, r, p, toString(ti), f4, nn"
)
ROWS = (
    "(1, -32768, -2147483648, -9223372036854775808, 4294967295, 123456789012.12345678, "
    "1234567890123456789012345678901234567890123456.123456789012345678901234567891, 12300, 0.00123, "
    "123456789012345678901234567890.123456789, 1.5, 1.25, 1e-300, true, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', "
    r"E'tab\tnl\nback\\N \x01 \x7f ünï 🚀', 'varchar', 'ab', ' { @a@ : 1, @a@:2 }', '{@b@:[1,null,@x\\y@]}', "
    "'2026-03-04 10:36:07.5+05:30', '2026-03-04 10:36:07.123456', '1900-01-01', '23:59:59.999999', '23:59:59+05:30', "
    r"'1 mon -3 days +04:05:06.789', 'happy ''quoted''', '\x00ff0a5c090d27', '10.0.0.1/8', '[1,5)', '(1,@x y@)')"
).replace("@", '"')
NULLS = "(2" + ", null" * 30 + ")"
EDGES = (
    "(3, 32767, 2147483647, 9223372036854775807, 0, -0.00000001, 0, 0, 0, 'NaN', 0.0001, -0.5, '-Infinity', false, "
    r"'00000000-0000-0000-0000-000000000000', '', '\N', '     ', 'null', '1e400', '1900-01-01 00:00:00+00', "
    "'2299-12-31 23:59:59.999999', '2299-12-31', '00:00', '00:00+00', '-178000000 years', 'ok', '', '::1', 'empty', "
    "'(,)')"
)
COLUMNS = (
    "id, i2, i4, i8, o, d, d76, dneg, dsmall, dfree, dom, f4, f8, b, u, t, vc, c, j, jb, tz, ts, da, ti, tt, iv, m, "
    "by, ip, r, p"
)
UNFIT = (
    "insert into v (id, d, tz, ts, da, nn) values "
    "(10, 'NaN', 'infinity', '-infinity', 'infinity', '-infinity'), "
    "(11, 1, '0001-01-01 00:00:00+00 BC', '294276-12-31 23:59:59.999999', '1899-12-31', '1899-12-31 23:59:59+00'), "
    "(12, 1, '2300-01-01 00:00:00+00', '12026-01-01', '19026-01-01', '19500-01-01 00:00:00+00')"
)
ARRAYS = (
    "insert into a values "
    r"""(1, '{1,NULL,3}', array['a,b','c"d',null,'NULL','','back\slash','it''s', E'tab\t'], '{1.50,-2}', '{t,f}', """
    """'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{2026-01-01 00:00:00+00}', array['{"a":1}'::jsonb]), """
    "(2, '{}', '{}', '{}', '{}', '{}', '{}', '{}')"
)
UNFIT_ARRAYS = "insert into a (id, i, n) values (3, '[0:1][5:6]={{1,2},{3,4}}', '{NaN,1}'), (4, null, '{}')"


@every_server
@pytest.mark.parametrize("way", ["snapshot", "stream"])
def test_types(lab: Lab, way: str) -> None:
    lab.execute(DEFINITION)
    lab.publish("v", "a")
    inserts = [f"insert into v ({COLUMNS}) values {ROWS}, {NULLS}, {EDGES}", UNFIT, ARRAYS, UNFIT_ARRAYS]
    if way == "snapshot":
        lab.execute(*inserts)
    with lab.mirror():
        lab.wait_until_streaming()
        if way == "stream":
            lab.execute(*inserts)
        lab.catch_up()

    lab.execute("set timezone = 'UTC'", "set intervalstyle = postgres")
    expected = lab.rows(f"(select * from v where id < 10) v (id, {COLUMNS[4:]}, nn)", SAME)
    found = lab.query(f"SELECT {SAME_IN_COPY} FROM {DATABASE}.v FINAL WHERE id < 10 ORDER BY id")
    names = [name.strip() for name in SAME_IN_COPY.split(",")]
    for left, right in zip(expected, found, strict=True):
        for name, wanted, value in zip(names, left, right, strict=True):
            if name == "toString(ti)" and wanted is not None:
                wanted = wanted + "." + "0" * 6 if "." not in wanted else wanted
            assert _plain(value) == _plain(wanted), name
    assert lab.query(f"SELECT hex(by) FROM {DATABASE}.v FINAL WHERE id IN (1, 3) ORDER BY id") == [
        ("00FF0A5C090D27",),
        ("",),
    ]

    # What cannot be held is NULL, also where the source says NOT NULL, and its text is kept.
    nothing = lab.query(f"SELECT d, tz, ts, da, nn FROM {DATABASE}.v FINAL WHERE id >= 10 ORDER BY id")
    assert nothing == [(None,) * 5, (Decimal(1), *(None,) * 4), (Decimal(1), *(None,) * 4)]
    lossy = lab.query(
        f"SELECT column_name, original FROM {DATABASE}.mirror_lossy_values FINAL "
        "WHERE table_name = 'v' AND row_key = '10' ORDER BY column_name"
    )
    assert lossy == [("d", "NaN"), ("da", "infinity"), ("nn", "-infinity"), ("ts", "-infinity"), ("tz", "infinity")]

    arrays = lab.query(
        f"SELECT * EXCEPT (_version, _deleted, _commit_ts, _synced_at, _applied) FROM {DATABASE}.a FINAL ORDER BY id"
    )
    assert arrays[0] == (
        1,
        [1, None, 3],
        ["a,b", 'c"d', None, "NULL", "", "back\\slash", "it's", "tab\t"],
        [Decimal("1.50"), Decimal("-2.00")],
        [True, False],
        [uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")],
        [dt.datetime(2026, 1, 1)],  # noqa: DTZ001
        ['{"a": 1}'],
    )
    assert arrays[1] == (2, [], [], [], [], [], [], [])
    assert arrays[2][1] == []
    assert arrays[2][3] == [None, Decimal(1)]
    kept = lab.query(
        f"SELECT column_name, original FROM {DATABASE}.mirror_lossy_values FINAL "
        "WHERE table_name = 'a' AND row_key IN ('3', '4') AND column_name IN ('i', 'n') ORDER BY row_key, column_name"
    )
    assert kept == [("i", "[0:1][5:6]={{1,2},{3,4}}"), ("n", "{NaN,1.00}"), ("i", "NULL")]


def test_column_types(lab: Lab) -> None:
    """A column can be NULL in the copy exactly when it can be in the source."""
    lab.execute(DEFINITION)
    lab.publish("v")
    with lab.mirror():
        lab.wait_until_streaming()
    types = dict(lab.query(f"SELECT name, type FROM system.columns WHERE database = '{DATABASE}' AND table = 'v'"))
    wanted = {
        "id": "Int64",
        "o": "Nullable(UInt32)",
        "d": "Nullable(Decimal(20, 8))",
        "d76": "Nullable(Decimal(76, 30))",
        "dneg": "Nullable(Decimal(7, 0))",
        "dsmall": "Nullable(Decimal(5, 5))",
        "dfree": "Nullable(String)",
        "dom": "Nullable(Decimal(12, 4))",
        "b": "Nullable(Bool)",
        "m": "LowCardinality(Nullable(String))",
        "da": "Nullable(Date32)",
        "nn": "DateTime64(6, 'UTC')",
        "_version": "UInt64",
        "_applied": "UInt64",
    }
    assert {name: types[name] for name in wanted} == wanted


def test_unusual_names(lab: Lab) -> None:
    lab.execute('create table "T x""y`z" ("ID" int primary key, "sel ect" text, "é" int)')
    lab.execute("""insert into "T x""y`z" values (1, 'snapshot', 1)""")
    lab.publish('"T x""y`z"')
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute("""insert into "T x""y`z" values (2, 'stream', 2)""")
        lab.catch_up()
    assert lab.query(f'SELECT "ID", "sel ect", "é" FROM {DATABASE}."T x""y`z" FINAL ORDER BY 1') == [
        (1, "snapshot", 1),
        (2, "stream", 2),
    ]


def test_role_settings_do_not_change_the_text(lab: Lab) -> None:
    database = lab.source.info.dbname
    for setting in (
        "datestyle = 'SQL, DMY'",
        "timezone = 'Asia/Kolkata'",
        "bytea_output = 'escape'",
        "extra_float_digits = -5",
        "intervalstyle = 'iso_8601'",
    ):
        lab.execute(f"alter database {database} set {setting}")
    lab.execute("create table g (id int primary key, z timestamptz, f float8, y bytea, i interval)")
    lab.publish("g")
    row = r"'2026-03-04 10:36:07.5+00', 0.1::float8 + 0.2, '\x00ff', '1 mon'"
    lab.execute(f"insert into g values (1, {row})")
    with lab.mirror():
        lab.wait_until_streaming()
        lab.execute(f"insert into g values (2, {row})")
        lab.catch_up()
    one, two = lab.query(f"SELECT z, f, hex(y), i FROM {DATABASE}.g FINAL ORDER BY id")
    assert one == two
    assert _plain(one[0]) == dt.datetime(2026, 3, 4, 10, 36, 7, 500000)  # noqa: DTZ001
    assert one[1:] == (0.1 + 0.2, "00FF", "1 mon")


def _plain(value: object) -> object:
    return value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value
