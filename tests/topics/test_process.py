from __future__ import annotations

import gc
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from django_bolt.topics.process import call_after_fork, call_at_exit, process_id


def test_the_identity_stays() -> None:
    assert process_id() == process_id()
    assert len(bytes.fromhex(process_id())) == 8


def test_a_child_has_another_identity_and_is_told() -> None:
    class Watcher:
        forked = ""

        def renew(self) -> None:
            self.forked = process_id()

    alive, dead = Watcher(), Watcher()
    call_after_fork(alive.renew)
    call_after_fork(dead.renew)
    del dead
    gc.collect()
    receiver, sender = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks of processes with threads
        child = os.fork()
    if not child:
        os.write(sender, f"{process_id()} {alive.forked}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    identity, told = os.read(receiver, 100).decode().split()
    os.close(receiver)
    os.close(sender)
    assert identity == told != process_id()
    assert alive.forked == ""


def test_objects_are_told_of_the_end() -> None:
    program = """
from django_bolt.topics.process import call_at_exit
class Watcher:
    def __init__(self, name): self.name = name
    def end(self): print(self.name)
alive, dead = Watcher("alive"), Watcher("dead")
call_at_exit(alive.end)
call_at_exit(dead.end)
del dead
"""
    assert run("-c", program) == ["alive"]


def test_exit_handlers_may_publish_before() -> None:
    program = """
from django_bolt.topics.process import call_at_exit
import atexit
class Watcher:
    def end(self): print("end")
watcher = Watcher()
call_at_exit(watcher.end)
atexit.register(print, "handler")
"""
    assert run("-c", program) == ["handler", "end"]


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_child_of_multiprocessing_ends_properly_too(method: str, tmp_path: Path) -> None:
    (tmp_path / "watching.py").write_text("""
import multiprocessing, sys
from django_bolt.topics.process import call_at_exit
class Watcher:
    def __init__(self, name): self.name = name
    def end(self): print(self.name, flush=True)
inherited = Watcher("inherited")
call_at_exit(inherited.end)
def run():
    global own
    own = Watcher("own")
    call_at_exit(own.end)
if __name__ == "__main__":
    process = multiprocessing.get_context(sys.argv[1]).Process(target=run)
    process.start()
    process.join()
    inherited.name = "parent"
""")
    assert run(str(tmp_path / "watching.py"), method) == ["inherited", "own", "parent"]


def test_nothing_keeps_an_object_alive() -> None:
    class Watcher:
        def end(self) -> None:
            raise AssertionError

    watcher = Watcher()
    call_at_exit(watcher.end)
    call_after_fork(watcher.end)
    before = sum(isinstance(thing, Watcher) for thing in gc.get_objects())
    del watcher
    gc.collect()
    assert sum(isinstance(thing, Watcher) for thing in gc.get_objects()) == before - 1


def run(*arguments: str) -> list[str]:
    """Run Python, and return the words that it printed."""
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
