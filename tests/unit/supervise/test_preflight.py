"""What must hold before `up` starts anything."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from orchestration.errors import UserError
from orchestration.supervise import preflight


def test_a_state_directory_below_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        preflight.prepare_state_dir(tmp_path / "file" / "state")
    assert "cannot be written" in caught.value.message
    assert "JANGAR_QUANT_STATE_DIR" in caught.value.remedy


def test_too_little_space_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "FREE_BYTES", 10**18)
    with pytest.raises(UserError, match="MB are needed"):
        preflight.prepare_state_dir(tmp_path / "state")


def test_only_one_up_per_state_directory(tmp_path: Path) -> None:
    second = preflight.only_one(tmp_path)
    with preflight.only_one(tmp_path), pytest.raises(UserError, match=f"already up.*{os.getpid()}"):
        second.__enter__()
    with preflight.only_one(tmp_path):
        pass


def test_every_occupied_port_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ports = {"A_PORT": ("127.0.0.1", first.getsockname()[1]), "B_PORT": ("127.0.0.1", second.getsockname()[1])}
        with pytest.raises(UserError) as caught:
            preflight.check_ports(ports, timeout=0)
    assert all(str(port) in caught.value.message for _, port in ports.values())
    assert str(os.getpid()) in caught.value.message
    assert "A_PORT, B_PORT" in caught.value.remedy


def test_leftovers_of_an_earlier_run_are_ended_but_a_reused_process_id_is_not(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        preflight.record_children(tmp_path, {"part": process.pid})
        record = tmp_path / "children.json"
        ours = record.read_text()
        created = psutil.Process(process.pid).create_time()
        record.write_text(ours.replace(str(created), str(created - 100)))
        assert preflight.end_leftovers(tmp_path) == []
        assert process.poll() is None
        record.write_text(ours)
        assert preflight.end_leftovers(tmp_path) == ["part"]
        assert not psutil.pid_exists(process.pid)
    finally:
        process.kill()
        process.wait()
