"""The table of atoms checks itself once, and comes back from Parquet as it went."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hpcstem.atoms import NO_TRACK, AtomTable
from hpcstem.errors import AtomTableError

COLUMNS = ("movie", "frame", "x_px", "y_px", "x_A", "y_A", "species", "probability", "detection", "sigma_A", "track")

lengths_A = st.floats(-1e9, 1e9)
shares = st.floats(0, 1, width=32)
names = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def tables(draw, max_size=12):
    """Any table that keeps the rules."""
    n = draw(st.integers(0, max_size))

    def column(dtype, elements):
        return draw(arrays.arrays(dtype, n, elements=elements))

    def words(strategy):
        return np.array(draw(st.lists(strategy, min_size=n, max_size=n)), dtype=np.str_)

    return AtomTable(
        movie=words(names),
        frame=column(np.int32, st.integers(0, 2**31 - 1)),
        x_px=column(np.float64, lengths_A),
        y_px=column(np.float64, lengths_A),
        x_A=column(np.float64, lengths_A),
        y_A=column(np.float64, lengths_A),
        species=words(st.sampled_from(["C", "Si", "H", "Cr"])),
        probability=column(np.float32, shares),
        detection=column(np.float32, shares),
        sigma_A=column(np.float32, st.floats(0, 10, width=32) | st.just(np.float32("nan"))),
        track=column(np.int64, st.integers(NO_TRACK, 2**62)),
        metadata=draw(st.dictionaries(st.text(), json_values, max_size=3)),
    )


def columns_of(n, **changes):
    """Columns of a plain table with some replaced."""
    plain = {
        "movie": np.full(n, "m"),
        "frame": np.arange(n),
        "x_px": np.arange(n, dtype=float),
        "y_px": np.arange(n, dtype=float),
        "x_A": np.arange(n) / 10,
        "y_A": np.arange(n) / 10,
        "species": np.full(n, "C"),
        "probability": np.ones(n),
        "detection": np.ones(n),
        "sigma_A": np.zeros(n),
        "track": np.full(n, NO_TRACK),
    }
    return plain | changes


def assert_same_rows(one, other):
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@given(tables())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path, table):
    path = tmp_path / "atoms.parquet"
    table.write(path)
    back = AtomTable.read(path)
    assert_same_rows(back, table)
    assert dict(back.metadata) == json.loads(json.dumps(table.metadata))
    assert {name: getattr(back, name).dtype.kind for name in COLUMNS} == {
        name: getattr(table, name).dtype.kind for name in COLUMNS
    }


@given(tables())
@settings(max_examples=30)
def test_the_same_table_gives_the_same_bytes(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("twice")
    table.write(folder / "one.parquet")
    table.write(folder / "two.parquet")
    assert (folder / "one.parquet").read_bytes() == (folder / "two.parquet").read_bytes()


@given(tables(), st.data())
def test_parts_joined_are_the_whole(table, data):
    cut = data.draw(st.integers(0, len(table)))
    assert_same_rows(AtomTable.concatenate([table[:cut], table[cut:]]), table)
    assert AtomTable.concatenate([table[:cut], table[cut:]]).metadata == table.metadata


@given(tables(), st.data())
def test_rows_by_mask_and_by_index_agree(table, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(table), max_size=len(table))), bool)
    assert_same_rows(table[mask], table[np.flatnonzero(mask)])
    assert len(table[mask]) == mask.sum()


def test_frames_and_positions():
    table = AtomTable(**columns_of(6, frame=[0, 2, 2, 5, 5, 5]))
    assert len(table.in_frame(5)) == 3
    assert len(table.in_frame(1)) == 0
    np.testing.assert_array_equal(table.in_frame(2).positions_A, [[0.1, 0.1], [0.2, 0.2]])


def test_no_tables_and_no_rows():
    assert len(AtomTable.concatenate([])) == 0
    empty = AtomTable.empty({"from": "nothing"})
    assert len(empty) == 0
    assert empty.positions_A.shape == (0, 2)
    assert AtomTable.concatenate([empty, AtomTable(**columns_of(2))]).metadata == {"from": "nothing"}


def test_columns_get_their_types():
    table = AtomTable(**columns_of(3, frame=[0.0, 1.0, 2.0], x_A=[1, 2, 3], track=np.array([1, 2, 3], np.int8)))
    assert table.frame.dtype == np.int32
    assert table.x_A.dtype == np.float64
    assert table.sigma_A.dtype == np.float32
    assert table.track.dtype == np.int64


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("x_A", [0.0, 1.0], "shape"),
        ("species", ["C"] * 4, "shape"),
        ("frame", [[0, 1, 2]], "shape"),
        ("x_px", [0, np.nan, 0], "x_px, row 1; got nan; wanted a finite number"),
        ("y_A", [0, 0, np.inf], "y_A, row 2; got inf"),
        ("probability", [0, 0.5, 1.1], "probability; got 0.0 to 1.1"),
        ("probability", [0, np.nan, 1], "probability"),
        ("detection", [-0.1, 0, 1], "detection"),
        ("sigma_A", [0.1, -0.1, 0.1], "sigma_A"),
        ("frame", [0, -1, 2], "column frame; got -1; wanted 0 or more"),
        ("x_A", ["here", "there", "nowhere"], "column x_A.*wanted values of type float64"),
        ("frame", [0, None, 2], "column frame.*wanted values of type int32"),
        ("frame", [0, 2**40, 2], "column frame.*wanted values of type int32"),
    ],
)
def test_a_bad_column_is_named(name, values, message):
    with pytest.raises(AtomTableError, match=message):
        AtomTable(**columns_of(3, **{name: values}))


def test_replaced_columns_are_checked_again():
    table = AtomTable(**columns_of(3))
    with pytest.raises(AtomTableError, match="y_A"):
        table.with_columns(y_A=[0, 0, np.nan])
    assert table.with_columns(y_A=[7, 8, 9]).positions_A[1].tolist() == [0.1, 8.0]


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    for name, first in (("chunk-000002", 2), ("chunk-000000", 0), ("chunk-000001", 1)):
        AtomTable(**columns_of(1, frame=[first])).write(tmp_path / f"{name}.parquet")
    (tmp_path / ".chunk-000003.parquet.99.tmp").write_text("half")
    assert AtomTable.read(tmp_path).frame.tolist() == [0, 1, 2]


def test_a_folder_without_atoms_is_an_error(tmp_path):
    with pytest.raises(AtomTableError, match="no file"):
        AtomTable.read(tmp_path)


def test_names_of_folders_are_no_columns(tmp_path):
    path = tmp_path / "frame=3" / "species=Si" / "atoms.parquet"
    AtomTable(**columns_of(2)).write(path)
    back = AtomTable.read(path)
    assert back.frame.tolist() == [0, 1]
    assert back.species.tolist() == ["C", "C"]


@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_a_cut_file_is_an_error_that_names_it(tmp_path, share):
    path = tmp_path / "atoms.parquet"
    AtomTable(**columns_of(100)).write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(AtomTableError, match=r"cannot read atoms from .*atoms\.parquet"):
        AtomTable.read(path)


def test_an_absent_file_is_an_error(tmp_path):
    with pytest.raises(AtomTableError, match="no such file"):
        AtomTable.read(tmp_path / "atoms.parquet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["sigma_A"]), "sigma_A"),
        (lambda t: t.set_column(2, "x_px", pa.array(["a", "b", "c"])), "x_px"),
        (lambda t: t.set_column(2, "x_px", pa.array([1.0, None, 3.0])), "column x_px; got no value in some rows"),
        (lambda t: t.set_column(1, "frame", pa.array([0, None, 2], pa.int32())), "column frame; got no value"),
        (lambda t: t.set_column(6, "species", pa.array(["C", None, "C"])), "column species; got no value"),
        (lambda t: t.set_column(6, "species", pa.array(["C", "Qq", "C"])), "column species; got 'Qq'; wanted chemical"),
        (lambda t: t.set_column(7, "probability", pa.array([1.0, 2.0, 3.0])), "probability"),
        (lambda t: t.replace_schema_metadata({b"hpcstem": b"{"}), "cannot read atoms"),
    ],
)
def test_a_file_that_breaks_the_rules_is_an_error_that_names_it(tmp_path, change, message):
    path = tmp_path / "atoms.parquet"
    AtomTable(**columns_of(3)).write(path)
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(AtomTableError, match=message) as error:
        AtomTable.read(path)
    assert str(path) in str(error.value)


def test_other_columns_and_files_without_metadata_are_read(tmp_path):
    path = tmp_path / "atoms.parquet"
    AtomTable(**columns_of(3), metadata={"a": 1}).write(path)
    table = pq.read_table(path).append_column("more", pa.array([1, 2, 3]))
    pq.write_table(table.replace_schema_metadata(None), path)
    back = AtomTable.read(path)
    assert len(back) == 3
    assert back.metadata == {}
