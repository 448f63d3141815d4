"""The FireWorks launchpad of a campaign: on an embedded database folder, or on any MongoDB by its URI."""

from __future__ import annotations

import datetime
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import fireworks
from pymongo.errors import ConfigurationError, ConnectionFailure, InvalidURI, OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from hpcstem.errors import DatabaseError, SimulationError
from hpcstem.simulation.allowed import UNFINISHED, check_spec, restrict_loading
from hpcstem.simulation.database import start_database
from hpcstem.simulation.lock import OwnedLock
from hpcstem.simulation.owner import Owner

Value = TypeVar("Value")
DEFAULT_DATABASE = "hpcstem"
# How many jobs are put in order at once, and how long that order holds where priorities change.
_AHEAD, _AHEAD_S = 20, 2.0
_PATIENCE_S, _RETRY_S = 60.0, 1.0
# An embedded server that does not answer within a second has ended, and is started again.
_EMBEDDED_SELECTION_MS, _REMOTE_SELECTION_MS, _SOCKET_TIMEOUT_MS = 1000, 5000, 120_000


class JobLaunchPad(fireworks.LaunchPad):
    """A launchpad that names the owner of each claim, outlives a restart of its database, and trusts no job.

    Parameters
    ----------
    address
        Folder of an embedded database, which is started if need be, or a `mongodb://` or `mongodb+srv://` URI
        with user, password and TLS options in it.
    idle_s
        An embedded database that has to be started ends when nobody has been connected for so long [s]; None: it
        goes on.

    Raises
    ------
    DatabaseError
        The database cannot be started or reached, or refuses the user.
    """

    def __init__(self, address: str | Path, idle_s: float | None = None) -> None:
        restrict_loading()
        self.address, self.idle_s = str(address), idle_s
        self.owner = Owner.current()
        self._ahead: deque[int] = deque()
        self._ahead_of: dict[str, Any] = {}
        self._ahead_until = 0.0
        self.folder = None if self.address.startswith(("mongodb://", "mongodb+srv://")) else Path(address)
        uri = start_database(self.folder, idle_s) if self.folder else self.address
        options = {
            "serverSelectionTimeoutMS": _EMBEDDED_SELECTION_MS if self.folder else _REMOTE_SELECTION_MS,
            "socketTimeoutMS": _SOCKET_TIMEOUT_MS,
        }
        try:
            name = parse_uri(uri, validate=True).get("database") or DEFAULT_DATABASE
            super().__init__(host=uri, name=name, uri_mode=True, strm_lvl="ERROR", mongoclient_kwargs=options)
            # The database may have been at its end when it was found.
            self.patiently(self._prepare) if self.folder else self._prepare()
        except (ConnectionFailure, OperationFailure, ConfigurationError, InvalidURI) as error:
            # The address may hold a password, so the message must not.
            message = str(error).split(", full error", 1)[0]
            raise DatabaseError("cannot use the job database", message, "its folder or its URI") from error

    def patiently(self, call: Callable[[], Value]) -> Value:
        """Return `call()`; where the connection is lost start the database again, or wait, and repeat it.

        Only for calls that do no harm when they are done twice.

        Raises
        ------
        DatabaseError
            The database did not come back within a minute.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return call()
            except ConnectionFailure as error:
                if time.monotonic() > deadline:
                    raise DatabaseError("the job database", "no answer for 60 s") from error
                if self.folder:
                    start_database(self.folder, self.idle_s)
                else:
                    time.sleep(_RETRY_S)

    def complete_launch(self, launch_id: int, action: Any = None, state: str = "COMPLETED") -> Any:
        """Mark a launch as ended and refresh its workflow; where only a segment has ended the job is ready again."""
        if action is not None and UNFINISHED in action.stored_data:
            return self.patiently(lambda: self._end_segment(launch_id, action))
        return self.patiently(lambda: super(JobLaunchPad, self).complete_launch(launch_id, action, state))

    def _end_segment(self, launch_id: int, action: Any) -> Any:
        # The job first: a launch that stays RUNNING after a kill in between is found by its dead owner.
        held = self.fireworks.find_one({"launches": launch_id, "state": "RUNNING"}, {"fw_id": 1})
        if held is not None:
            self.requeue(held["fw_id"])
        launch = self.get_launch_by_id(launch_id)
        launch.state, launch.action = "COMPLETED", action
        document = launch.to_db_dict()
        self.launches.find_one_and_replace({"launch_id": launch_id}, document, upsert=True)
        return document

    def ping_launch(self, launch_id: int, ptime: Any = None, checkpoint: Any = None) -> None:
        """Show that a launch is alive; a beat that the database misses is not repeated."""
        try:
            super().ping_launch(launch_id, ptime, checkpoint)
        except ConnectionFailure:
            return

    def workflow_lock(self, fw_id: int) -> OwnedLock:
        """Return the lock of the workflow that holds a firework."""
        return OwnedLock(self.workflows, {"nodes": fw_id}, self.owner)

    def adding_lock(self) -> OwnedLock:
        """Return the lock that whoever adds jobs holds."""
        return OwnedLock(self.db.locks, {"_id": "adding"}, self.owner)

    def requeue(self, fw_id: int, lost_launch: int | None = None) -> bool:
        """Let a firework run again; its launches so far are archived.

        Parameters
        ----------
        fw_id
            The firework.
        lost_launch
            Only if this launch of it is still the one that runs: another launcher may have given the job back in the
            meantime, and somebody may be at work on it.

        Returns
        -------
        bool
            Whether it can run again.
        """
        with self.workflow_lock(fw_id):
            if lost_launch is not None and not self._is_running(fw_id, lost_launch):
                return False
            workflow = self.get_wf_by_fw_id_lzyfw(fw_id)
            self._update_wf(workflow, workflow.rerun_fw(fw_id))
        return True

    def _is_running(self, fw_id: int, launch_id: int) -> bool:
        firework = {"fw_id": fw_id, "state": "RUNNING", "launches": launch_id}
        launch = {"launch_id": launch_id, "state": "RUNNING"}
        return bool(self.fireworks.find_one(firework, {"fw_id": 1}) and self.launches.find_one(launch, {"fw_id": 1}))

    def fizzle(self, fw_id: int, reason: str) -> None:
        """Mark a firework that cannot be run as failed, without building anything from its document."""
        details = {"_message": reason, "_stacktrace": reason}
        change = {"state": "FIZZLED", "updated_on": _now(), "spec._exception_details": details}
        self.fireworks.update_one({"fw_id": fw_id}, {"$set": change, "$unset": {"owner": ""}})
        states = {"state": "FIZZLED", f"fw_states.{fw_id}": "FIZZLED"}
        self.workflows.update_one({"nodes": fw_id}, {"$set": states})

    def _refresh_wf(self, fw_id: int) -> None:
        with self.workflow_lock(fw_id):
            workflow = self.get_wf_by_fw_id_lzyfw(fw_id)
            self._update_wf(workflow, workflow.refresh(fw_id))

    def _get_a_fw_to_run(self, query: Any = None, fw_id: int | None = None, checkout: bool = True) -> Any:
        if not checkout:
            return super()._get_a_fw_to_run(query, fw_id, checkout)
        wanted = dict(query or {}) | {"state": "READY"} | ({"fw_id": fw_id} if fw_id else {})
        while True:
            claimed = self._claim(wanted)
            if claimed is None:
                return None
            try:
                check_spec(claimed["spec"])
                return self.get_fw_by_id(claimed["fw_id"])
            except SimulationError as error:
                self.fizzle(claimed["fw_id"], f"{type(error).__name__}: {error}")

    def _claim(self, wanted: dict[str, Any]) -> Any:
        """Claim the first job of a query, by priority and then by age; return its document, or None.

        Putting many thousand jobs in order takes long, so it is done for some claims at once.
        """
        claim = {"state": "RESERVED", "updated_on": _now(), "owner": self.owner.to_document()}
        while True:
            if wanted != self._ahead_of or time.monotonic() > self._ahead_until:
                self._ahead.clear()
            if not self._ahead:
                order = [("spec._priority", -1), ("fw_id", 1)]
                found = self.fireworks.find(wanted, {"fw_id": 1}).sort(order).limit(_AHEAD)
                self._ahead.extend(document["fw_id"] for document in found)
                self._ahead_of, self._ahead_until = dict(wanted), time.monotonic() + _AHEAD_S
            if not self._ahead:
                return None
            # Another worker may have taken it in the meantime.
            first = wanted | {"fw_id": self._ahead.popleft()}
            claimed = self.fireworks.find_one_and_update(first, {"$set": claim})
            if claimed is not None:
                return claimed

    def _prepare(self) -> None:
        """Make the counters and indexes of an empty database; harmless on one in use."""
        if self.fw_id_assigner.find_one({}) is None:
            first = {"next_fw_id": 1, "next_launch_id": 1}
            self.fw_id_assigner.update_one({"_id": -1}, {"$setOnInsert": first}, upsert=True)
        if self.db.locks.find_one({"_id": "adding"}) is None:
            self.tuneup()
            self.fireworks.create_index("spec.key")
            self.db.results.create_index("key", unique=True)
            self.db.locks.update_one({"_id": "adding"}, {"$setOnInsert": {"purpose": "add"}}, upsert=True)


def open_launchpad(address: str | Path, idle_s: float | None = None) -> JobLaunchPad:
    """Return the launchpad at `address`: the folder of an embedded database, or a MongoDB URI.

    Parameters
    ----------
    address, idle_s
        As of `JobLaunchPad`.

    Raises
    ------
    DatabaseError
        The database cannot be started or reached, or refuses the user.
    """
    return JobLaunchPad(address, idle_s)


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn what pymongo raises into a `DatabaseError`.

    Raises
    ------
    DatabaseError
        The database is lost, or refuses a command.
    """
    try:
        yield
    except PyMongoError as error:
        message = str(error).split(", full error", 1)[0]
        raise DatabaseError("the job database", message, "one that answers; the same command goes on") from error


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
