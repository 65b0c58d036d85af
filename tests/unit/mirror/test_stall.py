"""The alarm for a silent stall: silence counts only while the source writes."""

from orchestration.mirror.stall import StallWatch


def test_silence_is_an_alarm_only_while_the_source_writes() -> None:
    watch = StallWatch(heartbeat_seconds=1.0)
    assert watch.observe(progress=1, source_lsn=100, now=0.0) == ""
    assert watch.observe(progress=1, source_lsn=100, now=60.0) == ""
    assert "silent for 61 s" in watch.observe(progress=1, source_lsn=200, now=61.0)
    assert watch.observe(progress=2, source_lsn=300, now=62.0) == ""
    assert watch.observe(progress=2, source_lsn=400, now=71.9) == ""
    assert watch.observe(progress=2, source_lsn=400, now=72.0) != ""
