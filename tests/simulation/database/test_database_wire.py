import io
import struct

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcstem.errors import DatabaseError
from hpcstem.simulation.database.wire import OP_MSG, Message, encode_reply, read_message


def op_msg(body: dict, sequences: dict | None = None, flags: int = 0) -> bytes:
    payload = struct.pack("<IB", flags, 0) + bson.encode(body)
    for name, documents in (sequences or {}).items():
        section = name.encode() + b"\0" + b"".join(map(bson.encode, documents))
        payload += b"\1" + struct.pack("<i", 4 + len(section)) + section
    if flags & 1:
        payload += b"\0\0\0\0"
    return struct.pack("<iiii", 16 + len(payload), 7, 0, OP_MSG) + payload


@pytest.mark.parametrize("flags", [0, 1, 2])
def test_a_message_with_a_document_sequence(flags):
    documents = [{"a": 1}, {"a": 2}]
    data = op_msg({"insert": "c", "$db": "d"}, {"documents": documents}, flags)
    message = read_message(io.BytesIO(data))
    assert message.body == {"insert": "c", "$db": "d", "documents": documents}
    assert message.request_id == 7
    assert message.wants_reply == (flags != 2)


def test_the_end_of_the_stream_and_a_message_cut_off_are_no_message():
    data = op_msg({"ping": 1, "$db": "d"})
    for n in range(len(data)):
        assert read_message(io.BytesIO(data[:n])) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_error_that_names_itself(payload):
    for opcode in (OP_MSG, 2004, 5):
        data = struct.pack("<iiii", 16 + len(payload), 1, 0, opcode) + payload
        try:
            message = read_message(io.BytesIO(data))
        except DatabaseError:
            continue
        assert isinstance(message, Message)


def test_a_length_that_is_too_large_is_refused_before_it_is_read():
    with pytest.raises(DatabaseError, match="length of a message"):
        read_message(io.BytesIO(struct.pack("<iiii", 2**31 - 1, 1, 0, OP_MSG)))


def test_the_reply_refers_to_the_request():
    message = read_message(io.BytesIO(op_msg({"ping": 1, "$db": "d"})))
    header = struct.unpack_from("<iiii", encode_reply(message, {"ok": 1.0}))
    assert header[2:] == (7, OP_MSG)
