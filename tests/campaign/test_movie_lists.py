"""Lists of movies: manifests in three formats, patterns, and what is wrong with them."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpcstem.campaign.reprocessing.manifest import find_movies, is_pattern, movie_key, read_manifest
from hpcstem.errors import ConfigError


@pytest.fixture
def csv(tmp_path):
    def write(text: str):
        path = tmp_path / "list.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_same_list_in_three_formats(csv, tmp_path):
    (tmp_path / "list.txt").write_text("# movies\n\na.h5\n  /far/b.npy\n")
    rows = [{"path": "a.h5", "pixel_size_A": 0.1}, {"path": "/far/b.npy", "pixel_size_A": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "list.parquet")
    from_csv = read_manifest(csv("path,pixel_size_A\na.h5,0.1\n/far/b.npy,\n"))
    from_text = read_manifest(tmp_path / "list.txt")
    assert from_csv == read_manifest(tmp_path / "list.parquet")
    assert [movie.path for movie in from_csv] == [movie.path for movie in from_text]
    assert [str(movie.path) for movie in from_csv] == [str(tmp_path / "a.h5"), "/far/b.npy"]
    assert [movie.pixel_size_A for movie in from_csv] == [0.1, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,pixel_size_a\na.h5,0.1\n", "line 2: unknown key pixel_size_a; did you mean 'pixel_size_A'"),
        ("path,pixel_size_A\na.h5,0.1\nb.h5,small\n", "line 3: pixel_size_A"),
        ("path,pixel_size_A\na.h5,-1\n", "line 2: pixel_size_A"),
        ("path\na.h5,0.1\n", "line 2"),
        ("pixel_size_A\n0.1\n", "line 2: path"),
        ("path\na.h5\na.h5\n", "a.h5 twice"),
        ("path\n", "no movie"),
        ("", "no movie"),
    ],
)
def test_a_wrong_line_is_named(csv, text, message):
    with pytest.raises(ConfigError, match=r"list\.csv") as error:
        read_manifest(csv(text))
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["absent.csv", "absent.parquet", "absent.txt"])
def test_no_manifest(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot read the manifest"):
        read_manifest(tmp_path / name)


def test_a_damaged_parquet_manifest(tmp_path):
    (tmp_path / "list.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ConfigError, match="cannot read the manifest"):
        read_manifest(tmp_path / "list.parquet")


def test_patterns_find_movies_and_nothing_else(tmp_path):
    for name in ("b.h5", "a.npy", "deep/er/c.tif", "notes.txt", "deep/d.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_movies([f"{tmp_path}/*", f"{tmp_path}/**/*.tif", f"{tmp_path}/b.h5"], pixel_size_A=0.2)
    assert [movie.path.name for movie in found] == ["a.npy", "b.h5", "c.tif"]
    assert {movie.pixel_size_A for movie in found} == {0.2}
    with pytest.raises(ConfigError, match="no file"):
        find_movies([f"{tmp_path}/*.dm4"])
    (tmp_path / "odd[1].h5").touch()
    assert not is_pattern(f"{tmp_path}/odd[1].h5")
    assert is_pattern(f"{tmp_path}/odd[2].h5")


def test_movies_of_one_name_have_keys_of_their_own(tmp_path):
    (tmp_path / "l.txt").write_text("a/scan.h5\nb/scan.h5\n")
    first, second = (movie_key(movie) for movie in read_manifest(tmp_path / "l.txt"))
    assert first != second
    assert first.startswith("scan-")
    other = read_manifest(tmp_path / "l.txt")[0].model_copy(update={"dataset": "inner"})
    assert movie_key(other) != first
