"""Doctor room: whether the source's slot continues where the copy ends - what the mirror checks at start."""

import psycopg
from clickhouse_connect.driver.exceptions import ClickHouseError

from orchestration.doctor.finding import Finding
from orchestration.errors import UserError
from orchestration.mirror.catalog import read_publication, read_slot
from orchestration.mirror.control import Control
from orchestration.mirror.lsn import format_lsn
from orchestration.mirror.position import check_mark, check_publication, check_slot
from orchestration.mirror.replication import ReplicationError, ReplicationSession
from orchestration.mirror.session import replication_conninfo
from orchestration.mirror.target import Target
from orchestration.settings import Settings
from orchestration.source.connection import connect

_AREA = "mirror"


def check_position(settings: Settings) -> list[Finding]:
    """Compare both sides without changing anything; nothing where one of them cannot be reached, others tell that."""
    try:
        source = connect(settings)
    except UserError:
        return []
    with source:
        try:
            session = ReplicationSession(replication_conninfo(settings))
        except ReplicationError as error:
            remedy = "Let the source admit this user's replication connections (pg_hba.conf, role attribute)."
            return [Finding(_AREA, "replication connection", "fail", str(error), remedy)]
        findings = [Finding(_AREA, "replication connection", "ok", "the source accepts it")]
        try:
            target = Target(settings)
        except (UserError, ClickHouseError):
            session.close()
            return findings
        try:
            return [*findings, _position(settings, source, session, target)]
        except (psycopg.Error, ReplicationError, ClickHouseError) as error:
            reason = str(error).splitlines()[0]
            return [*findings, Finding(_AREA, "position", "fail", reason, "Correct what the server complains about.")]
        finally:
            session.close()
            target.close()


def _position(settings: Settings, source: psycopg.Connection, session: ReplicationSession, target: Target) -> Finding:
    control = Control(target, settings.mirror_slot)
    slot = read_slot(source, settings.mirror_slot)
    position = control.read_position() if control.exists() else None
    try:
        check_slot(position, slot, settings.mirror_slot, source.info.dbname)
        if position is None or slot is None:
            return Finding(_AREA, "position", "ok", "nothing is copied yet; the first start copies all tables")
        check_publication(
            read_publication(source, settings.mirror_publication)[0],
            position.publication_oid,
            settings.mirror_publication,
        )
        checkpoint = control.read_checkpoint()
        check_mark(position, slot, session.identify(), checkpoint, control.read_tables(), target.tables())
    except UserError as error:
        return Finding(_AREA, "position", "fail", error.message, error.remedy)
    mark = checkpoint.lsn if checkpoint else position.consistent_lsn
    return Finding(_AREA, "position", "ok", f"the copy ends at {format_lsn(mark)}, where the slot can continue")
