"""Mirror room: the labels of enums. ALTER TYPE ... RENAME VALUE changes what rows show, without a word in the stream.

A label has an OID that stays, so a renamed one is told from an added one.
"""

import json

import psycopg

from orchestration.mirror.catalog import target_name


def read_labels(connection: psycopg.Connection, publication: str) -> dict[str, str]:
    """Return the labels of the enums of each published table that has any: JSON, label by OID."""
    rows = connection.execute(
        """
        select p.schemaname, p.tablename, jsonb_object_agg(e.oid::text, e.enumlabel)::text
        from pg_publication_tables p
        join pg_namespace n on n.nspname = p.schemaname
        join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        join pg_type t on t.oid = a.atttypid
        join pg_enum e on e.enumtypid in (t.oid, t.typelem, t.typbasetype)
        where p.pubname = %s
        group by 1, 2
        """,
        (publication,),
    ).fetchall()
    return {target_name(schema, name): labels for schema, name, labels in rows}


def is_renamed(before: str, now: str) -> bool:
    """Whether a label of `before` has another name now; an empty text is not known."""
    if before == now or not before or not now:
        return False
    new = json.loads(now)
    return any(new.get(oid, label) != label for oid, label in json.loads(before).items())
