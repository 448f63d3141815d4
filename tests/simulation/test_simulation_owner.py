import subprocess
from dataclasses import replace

from hpcstem.simulation.owner import Owner


def test_this_process_is_alive_and_survives_a_document():
    owner = Owner.current()
    assert owner.is_here
    assert owner.is_alive
    assert Owner.from_document(owner.to_document()) == owner


def test_a_process_that_got_the_same_number_later_is_another():
    owner = Owner.current()
    assert not replace(owner, started=owner.started - 1).is_alive


def test_an_ended_process_is_dead_even_before_it_is_reaped():
    process = subprocess.Popen(["sleep", "60"])
    owner = Owner.of(process.pid)
    assert owner.is_alive
    process.kill()
    while owner.is_alive:
        pass
    process.wait()
    assert not owner.is_alive


def test_a_process_of_another_host_is_not_ours_to_judge():
    owner = replace(Owner.current(), host="elsewhere")
    assert not owner.is_here
    assert not owner.is_alive


def test_documents_of_others_name_no_owner():
    for document in (None, True, "text", {}, {"host": "a"}, {"host": "a", "pid": "x", "started": 1}):
        assert Owner.from_document(document) is None
