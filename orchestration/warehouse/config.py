"""The embedded engine's configuration: memory, background threads, and the read-only role, written at every start."""

import os
from pathlib import Path
from xml.sax.saxutils import escape

READER = "reader"

# A reader may lower these but not raise them; everything else that costs memory or threads it may not change at all.
READER_LIMITS = {
    "max_execution_time": 60,
    "max_memory_usage": 512 << 20,
    "max_result_rows": 100_000_000,
    "max_threads": 4,
    "max_rows_to_read": 10_000_000_000,
}
_READER_CONSTANT = (
    "log_comment",
    "timeout_overflow_mode",
    "result_overflow_mode",
    "read_overflow_mode",
    "max_bytes_before_external_group_by",
    "max_bytes_before_external_sort",
    "max_memory_usage_for_user",
    "priority",
    "allow_introspection_functions",
    "allow_ddl",
    "timeout_before_checking_execution_speed",
)

# Queries spill to disk beyond this, long before the server's limit.
_SPILL_BYTES = 256 << 20

# Tables here get a few rows per second. The default merge policy drops the small parts from the right of what it chose
# until one is left, so it rewrites the big part for every insert: 0.4 of a core, growing with the tables. Ten parts at
# a time took 0.23 with 30 days of history, since parts below some 5 MB count as equal and the big one was among the
# ten every few seconds. A base of 9 merges parts of like size only: 0.06.
_MERGES = {
    "min_parts_to_merge_at_once": 10,
    "merge_selector_base": 9,
    "merge_selector_enable_heuristic_to_remove_small_parts_at_right": 0,
}

# A small part is one file instead of eleven. Creating and deleting files is the larger half of a small insert where the
# file system searches long for a free inode (ext4 without a journal passes over those of the last minute, one by one):
# ten rows of 25 columns into two tables took 50 ms before and 17 with it, both in a loop of hundreds. The limit is the
# engine's own for parts whose columns are files of their own; a packed part is in memory until it is written.
_PARTS = {"min_bytes_for_full_part_storage": 10 << 20}

# Query optimizations that cost more planning than they save on the small queries of every second.
_PLANNING = {"optimize_and_compare_chain": 0, "enable_join_runtime_filters": 0}


def server_memory_bytes() -> int:
    """Upper bound of the engine's memory: a quarter of the machine's, at least 1 GiB and at most 4 GiB."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1 << 30, min(4 << 30, total // 4))


def write_config(directory: Path, memory: int) -> Path:
    """Write the engine's two configuration files into `directory` and return the main one. They hold no secrets."""
    directory.mkdir(parents=True, exist_ok=True)
    users = directory / "users.xml"
    users.write_text(_users(memory), encoding="utf-8")
    main = directory / "config.xml"
    main.write_text(
        f"""<clickhouse>
    <logger><level>none</level><console>0</console></logger>
    <timezone>UTC</timezone>
    <users_config>{escape(str(users))}</users_config>
    <max_server_memory_usage>{memory}</max_server_memory_usage>
    <mark_cache_size>{64 << 20}</mark_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>
    <index_mark_cache_size>{16 << 20}</index_mark_cache_size>
    <background_pool_size>2</background_pool_size>
    <background_merges_mutations_concurrency_ratio>2</background_merges_mutations_concurrency_ratio>
    <background_schedule_pool_size>16</background_schedule_pool_size>
    <background_common_pool_size>2</background_common_pool_size>
    <background_fetches_pool_size>1</background_fetches_pool_size>
    <background_move_pool_size>1</background_move_pool_size>
    <background_buffer_flush_schedule_pool_size>1</background_buffer_flush_schedule_pool_size>
    <background_message_broker_schedule_pool_size>1</background_message_broker_schedule_pool_size>
    <background_distributed_schedule_pool_size>1</background_distributed_schedule_pool_size>
    <max_thread_pool_size>1000</max_thread_pool_size>
    <max_thread_pool_free_size>64</max_thread_pool_free_size>
    <merge_tree>{_elements(_MERGES | _PARTS)}</merge_tree>
</clickhouse>
""",
        encoding="utf-8",
    )
    return main


def _elements(values: dict[str, int]) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in values.items())


def _users(memory: int) -> str:
    bounds = "".join(f"<{name}><min>1</min><max>{value}</max></{name}>" for name, value in READER_LIMITS.items())
    constants = "".join(f"<{name}><readonly/></{name}>" for name in _READER_CONSTANT)
    return f"""<clickhouse>
    <profiles>
        <default>
            <max_memory_usage>{memory * 3 // 4}</max_memory_usage>
            <max_bytes_before_external_group_by>{_SPILL_BYTES}</max_bytes_before_external_group_by>
            <max_bytes_before_external_sort>{_SPILL_BYTES}</max_bytes_before_external_sort>
            {_elements(_PLANNING)}
        </default>
        <{READER}><constraints>{bounds}{constants}</constraints></{READER}>
    </profiles>
    <quotas><default/></quotas>
    <roles>
        <owner><grants><query>GRANT ALL ON *.* WITH GRANT OPTION</query></grants></owner>
        <{READER}><grants>
            <query>GRANT SELECT ON *.*</query>
            <query>GRANT SHOW ON *.*</query>
            <query>GRANT dictGet ON *.*</query>
        </grants></{READER}>
    </roles>
    <users>
        <default>
            <password></password>
            <networks><ip>::/0</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants><query>GRANT owner</query><query>GRANT {READER}</query></grants>
        </default>
    </users>
</clickhouse>
"""
