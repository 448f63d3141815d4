"""Messages of the MongoDB wire protocol: OP_MSG, and the OP_QUERY that clients still open with.

References
----------
.. [1] MongoDB, "Wire Protocol", https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any

import bson
from bson.codec_options import CodecOptions

from hpcstem.errors import DatabaseError

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
MAX_MESSAGE_BYTES = 48_000_000
CODEC: CodecOptions[dict[str, Any]] = CodecOptions(document_class=dict)
_HEADER = struct.Struct("<iiii")
_CHECKSUM_PRESENT, _MORE_TO_COME = 1, 2


@dataclass(frozen=True)
class Message:
    """One request of a client.

    Parameters
    ----------
    request_id
        Number that the answer refers to.
    body
        The command; its first key is the command's name.
    wants_reply
        False where the client does not wait for an answer.
    opcode
        `OP_MSG` or `OP_QUERY`: the answer takes the same form.
    """

    request_id: int
    body: dict[str, Any]
    wants_reply: bool
    opcode: int


def read_message(stream: BufferedIOBase) -> Message | None:
    """Read one request; None at the end of the stream.

    Raises
    ------
    DatabaseError
        The bytes are not a message that this server knows.
    """
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    length, request_id, _, opcode = _HEADER.unpack(header)
    if not _HEADER.size <= length <= MAX_MESSAGE_BYTES:
        raise DatabaseError("length of a message", length, f"at most {MAX_MESSAGE_BYTES}")
    payload = stream.read(length - _HEADER.size)
    if len(payload) < length - _HEADER.size:
        return None
    try:
        if opcode == OP_MSG:
            return _parse_op_msg(request_id, payload)
        if opcode == OP_QUERY:
            return _parse_op_query(request_id, payload)
    except (bson.errors.BSONError, struct.error, IndexError, ValueError) as error:
        raise DatabaseError("a message cannot be decoded", error) from error
    raise DatabaseError("kind of message", opcode, f"OP_MSG {OP_MSG} or OP_QUERY {OP_QUERY}")


def _parse_op_msg(request_id: int, payload: bytes) -> Message:
    flags = struct.unpack_from("<I", payload)[0]
    end = len(payload) - (4 if flags & _CHECKSUM_PRESENT else 0)
    position, body, sequences = 4, {}, {}
    while position < end:
        kind = payload[position]
        size = struct.unpack_from("<i", payload, position + 1)[0]
        section = payload[position + 1 : position + 1 + size]
        if kind == 0:
            body = bson.decode(section, CODEC)
        elif kind == 1:
            name_end = section.index(b"\0", 4)
            sequences[section[4:name_end].decode()] = bson.decode_all(section[name_end + 1 :], CODEC)
        else:
            raise ValueError(f"section of kind {kind}")
        position += 1 + max(size, 1)
    return Message(request_id, body | sequences, not flags & _MORE_TO_COME, OP_MSG)


def _parse_op_query(request_id: int, payload: bytes) -> Message:
    name_end = payload.index(b"\0", 4)
    body = bson.decode(payload[name_end + 9 :], CODEC)
    body.setdefault("$db", payload[4:name_end].decode().split(".", 1)[0])
    return Message(request_id, body.get("$query", body), True, OP_QUERY)


def encode_reply(message: Message, reply: dict[str, Any]) -> bytes:
    """Return the bytes of the answer to `message`."""
    document = bson.encode(reply)
    if message.opcode == OP_QUERY:
        payload = struct.pack("<iqii", 0, 0, 0, 1) + document
        opcode = OP_REPLY
    else:
        payload = struct.pack("<IB", 0, 0) + document
        opcode = OP_MSG
    return _HEADER.pack(_HEADER.size + len(payload), 0, message.request_id, opcode) + payload
