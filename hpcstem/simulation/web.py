"""A page about the queue for a browser on this machine: it shows, and changes nothing."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hpcstem.simulation.queue import QueueStatus
from hpcstem.simulation.summary import by_axis, failures

_STYLE = (
    "body{font:15px sans-serif;margin:2em;max-width:70em}table{border-collapse:collapse;margin:1em 0}"
    "td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ccc}pre{white-space:pre-wrap}"
)
_MOST_JOBS = 200
_LOCAL = ("localhost", "127.0.0.1", "[::1]")


class QueueServer(ThreadingHTTPServer):
    """Serves the page on the loopback interface alone.

    Parameters
    ----------
    port
        Port; 0 for any that is free.
    status
        Called for each page.
    title
        Title of the page.
    """

    daemon_threads = True

    def __init__(self, port: int, status: Callable[[], QueueStatus], title: str) -> None:
        self.status, self.title = status, title
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """Address for a browser on this machine."""
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: QueueServer

    def do_GET(self) -> None:
        # A page of another site may lead the browser here under that site's name: it must not read the answer.
        if self.headers.get("Host", "").rpartition(":")[0] not in _LOCAL:
            self.send_error(403)
        elif self.path == "/":
            self._answer("text/html; charset=utf-8", page(self.server.status(), self.server.title))
        elif self.path == "/status.json":
            found = self.server.status()
            summary = {"axes": [asdict(row) for row in by_axis(found.jobs)]}
            summary |= {"failures": [asdict(one) for one in failures(found.jobs)]}
            self._answer("application/json", json.dumps({"counts": dict(found.counts)} | summary))
        else:
            self.send_error(404)

    def _answer(self, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal quiet."""


def page(status: QueueStatus, title: str) -> str:
    """Return the page, which loads itself anew every ten seconds."""
    axes = [(row.axis, row.value, _counted(row.counts)) for row in by_axis(status.jobs)]
    reasons = [(one.n_jobs, one.reason, one.example, one.key[:12]) for one in failures(status.jobs)]
    running = [job for job in status.jobs if job.state in ("RUNNING", "RESERVED")]
    ended = [job for job in status.jobs if job.state in ("FIZZLED", "COMPLETED")]
    jobs = [
        (job.key[:12], job.name, job.state, job.host, "" if job.seconds is None else f"{job.seconds:.1f}")
        for job in [*running, *ended[::-1]][:_MOST_JOBS]
    ]
    return "".join(
        [
            "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=10>",
            f"<title>{html.escape(title)}</title><style>{_STYLE}</style><h1>{html.escape(title)}</h1>",
            f"<p>{html.escape(_counted(status.counts) or 'no jobs')}</p>",
            _table("By axis", ("axis", "value", "jobs"), axes),
            _table("What failed and why", ("jobs", "reason", "such as", "key"), reasons),
            _table("Jobs", ("key", "name", "state", "host", "seconds"), jobs),
        ]
    )


def _table(title: str, head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    if not body:
        return ""
    names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    return f"<h2>{html.escape(title)}</h2><table><tr>{names}</tr>{body}</table>"


def _counted(counts: Any) -> str:
    return ", ".join(f"{n} {state}" for state, n in counts.items())
