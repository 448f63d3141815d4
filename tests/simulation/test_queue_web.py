"""The page about the queue: on this machine alone, shows and changes nothing, shows text as text."""

import http.client
import json
import threading

import pytest

from hpcstem.simulation.queue import JobStatus, QueueStatus
from hpcstem.simulation.web import QueueServer

JOBS = (
    JobStatus("a" * 64, "<script>alert(1)</script>", "relax", "FIZZLED", "node", 2.0, "Error: <b>7</b>", {"seed": "0"}),
    JobStatus("b" * 64, "good", "nvt", "COMPLETED", "node", 3.0, "", {"seed": "1"}),
)


@pytest.fixture
def server():
    status = QueueStatus({"COMPLETED": 1, "FIZZLED": 1}, JOBS)
    with QueueServer(0, lambda: status, "Queue q") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, path="/", method="GET", host="127.0.0.1"):
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers={"Host": f"{host}:{port}"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_the_page(server):
    status, text = ask(server)
    assert status == 200
    assert "1 COMPLETED, 1 FIZZLED" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script" not in text
    assert "Error: &lt;b&gt;7&lt;/b&gt;" in text
    found = json.loads(ask(server, "/status.json")[1])
    assert found["counts"] == {"COMPLETED": 1, "FIZZLED": 1}
    assert found["failures"][0]["n_jobs"] == 1


def test_what_is_not_answered(server):
    assert server.server_address[0] == "127.0.0.1"
    assert ask(server, host="evil.example")[0] == 403
    assert ask(server, "/../etc/passwd")[0] == 404
    assert ask(server, method="POST")[0] == 501
    assert ask(server, method="DELETE")[0] == 501
