"""The campaign file: every mistake is named before anything runs."""

from pathlib import Path

import pytest
import yaml

from hpcstem.campaign.schema import Campaign, load_campaign, movie_name, plain_name, with_movies
from hpcstem.config import checked, shipped_file
from hpcstem.errors import ConfigError

MOVIE = {"path": "movie.h5"}


def campaign(**sections):
    """A campaign of one movie with more sections."""
    return checked(Campaign, {"name": "test", "movies": [MOVIE]} | sections, "campaign.yaml")


def test_one_movie_is_enough():
    found = campaign()
    assert found.decode.model == "graphene-si"
    assert found.simulation is None
    assert found.training is None


@pytest.mark.parametrize("name", ["quickstart"])
def test_shipped_campaigns_are_valid_and_survive_a_round_trip(name):
    loaded = load_campaign(shipped_file("workflows", name))
    again = checked(Campaign, yaml.safe_load(yaml.safe_dump(loaded.model_dump(mode="json"))), "again")
    assert again == loaded


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"sed": 1}, "unknown key sed; did you mean 'seed'"),
        ({"movies": [MOVIE | {"pixel_sise_A": 0.1}]}, "movies.0.pixel_sise_A; did you mean 'pixel_size_A'"),
        ({"movies": [MOVIE | {"pixel_size": 0.1}]}, "movies.0.pixel_size; did you mean 'pixel_size_A'"),
        ({"frames": {"badframes": "skip"}}, "frames.badframes; did you mean 'bad_frames'"),
        ({"decode": {"modle": "x"}}, "decode.modle; did you mean 'model'"),
        ({"structure": {"region_size": 8}}, "structure.region_size; did you mean 'region_size_A'"),
        ({"potentials": {"cutof_A": 8}}, "potentials.cutof_A; did you mean 'cutoff_A'"),
        ({"potentials": {"fit": {"cutof_A": 8}}}, "potentials.fit.cutof_A; did you mean 'cutoff_A'"),
        ({"kinetics": {"observe": {"max_gaps": 8}}}, "kinetics.observe.max_gaps; did you mean 'max_gap'"),
        ({"simulation": {"temperature_K": [300]}}, "simulation.temperature_K; did you mean 'temperatures_K'"),
        ({"training": {"step": 5}}, "training.step; did you mean 'steps'"),
        ({"training": {"recipe": {"n_pixel": 64}}}, "training.recipe.n_pixel; did you mean 'n_pixels'"),
    ],
)
def test_an_unknown_key_names_the_right_one_at_every_depth(sections, message):
    with pytest.raises(ConfigError, match=message):
        campaign(**sections)


def test_an_unknown_key_of_a_simulated_movie_names_the_right_one():
    with pytest.raises(ConfigError, match=r"simulate\.n_frame; did you mean 'n_frames'"):
        campaign(movies=[], simulate={"n_frame": 3})


@pytest.mark.parametrize(
    "sections",
    [{"simulate": {}}, {"movies": []}, {"movies": [], "simulate": None}],
)
def test_movies_and_simulate_exclude_each_other(sections):
    with pytest.raises(ConfigError, match="give either `movies:` or `simulate:`"):
        campaign(**sections)


@pytest.mark.parametrize(
    "movies",
    [
        [{"path": "a/movie.h5"}, {"path": "b/movie.tif"}],
        [{"path": "a.h5", "name": "same"}, {"path": "b.h5", "name": "same"}],
        [{"path": "a b.h5"}, {"path": "a-b.h5"}],
    ],
)
def test_movies_named_alike_are_refused(movies):
    with pytest.raises(ConfigError, match=r"movies named alike: .*; give each its own `name:`"):
        campaign(movies=movies)
    assert campaign(movies=[movie | {"name": f"m{i}"} for i, movie in enumerate(movies)])


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "/etc", "", ".", "..", ".hidden", "a..b", "x" * 101, "a\nb", "a b", "é"]
)
def test_names_that_are_no_file_names_are_refused(name):
    with pytest.raises(ValueError, match="cannot name results"):
        plain_name(name)
    for sections in ({"name": name}, {"movies": [MOVIE | {"name": name}]}):
        with pytest.raises(ConfigError, match="cannot name results"):
            campaign(**sections)
    with pytest.raises(ConfigError, match=r"simulate.name: .*cannot name results"):
        campaign(movies=[], simulate={"name": name})


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/scan 1 (Å).h5", "scan-1----"), ("../..h5", "movie"), ("x.tar.gz", "x.tar"), ("-.-", "movie"), ("m.h5", "m")],
)
def test_a_movie_is_called_after_its_file(path, name):
    found = movie_name(campaign(movies=[{"path": path}]).movies[0])
    assert found == name


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"seed": "one"}, "seed: .*'one'"),
        ({"movies": {"path": "x"}}, "movies"),
        ({"movies": "movie.h5"}, "movies"),
        ({"movies": [MOVIE | {"pixel_size_A": 0}]}, "movies.0.pixel_size_A: .*greater than 0"),
        ({"movies": [MOVIE | {"pixel_size_A": -0.1}]}, "movies.0.pixel_size_A"),
        ({"movies": [MOVIE | {"pixel_size_A": "small"}]}, "movies.0.pixel_size_A: .*'small'"),
        ({"movies": [MOVIE | {"frame_time_s": float("inf")}]}, "frame_time_s: .*finite"),
        ({"movies": [{}]}, "movies.0.path: Field required"),
        ({"frames": {"bad_frames": "drop"}}, "frames.bad_frames: .*'skip' or 'refuse'"),
        ({"frames": {"calibrate": "perhaps"}}, "frames.calibrate"),
        ({"decode": {"chunk_MB": 0}}, "decode.chunk_MB"),
        ({"structure": {"region_size_A": 4}}, "structure.region_size_A"),
        ({"structure": {"region_by": "beauty"}}, "structure.region_by"),
        ({"potentials": {"bin_A": 0}}, "potentials.bin_A"),
        ({"potentials": {"fit": {"cutoff_A": 0.9}}}, "potentials.fit: .*0.9"),
        ({"potentials": {"fit": {"mobility": [1]}}}, "potentials.fit: .*mobility of 2 species"),
        ({"kinetics": {"lags": [2, 3]}}, "kinetics: .*multiples of the first"),
        ({"simulation": {"temperatures_K": [300, -300]}}, r"simulation.temperatures_K.1: .*greater than 0, got -300"),
        ({"simulation": {"temperatures_K": [0]}}, r"simulation.temperatures_K.0"),
        ({"simulation": {"temperatures_K": [float("nan")]}}, r"simulation.temperatures_K.0"),
        ({"simulation": {"temperatures_K": [300, 300.0]}}, "two temperatures are the same"),
        ({"simulation": {"temperatures_K": [300, 300.00001]}}, "two temperatures are the same"),
        ({"simulation": {"temperatures_K": 300}}, "simulation.temperatures_K"),
        ({"simulation": {"timestep_fs": 20}}, "simulation.timestep_fs"),
        ({"simulation": {"n_steps": 0}}, "simulation.n_steps"),
        ({"simulation": {"n_steps": 1.5}}, "simulation.n_steps"),
        ({"simulation": {"workers": 0}}, "simulation.workers"),
        ({"simulation": {"engine": "DFT"}}, "simulation.engine: .*'gfn1-xtb'"),
        ({"simulation": {"force_tolerance_eV_A": float("inf")}}, "simulation.force_tolerance_eV_A: .*finite"),
    ],
)
def test_values_out_of_range_are_named(sections, message):
    with pytest.raises(ConfigError, match=message):
        campaign(**sections)


@pytest.mark.parametrize(
    ("simulate", "message"),
    [
        ({"shape": [0, 256]}, "simulate.shape.0"),
        ({"shape": [-256, 256]}, "simulate.shape.0"),
        ({"shape": [256]}, "simulate.shape.1"),
        ({"shape": 256}, "simulate.shape"),
        ({"n_frames": 0}, "simulate.n_frames"),
        ({"pixel_size_A": 2}, "simulate.pixel_size_A"),
        ({"thermal_A": float("inf")}, "simulate.thermal_A"),
        ({"drift_A_per_frame": [0.1]}, "simulate.drift_A_per_frame.1"),
        ({"hole_radius_A": 20, "shape": [128, 256]}, r"simulate: .*hole_radius_A of at most 4.27"),
    ],
)
def test_values_of_a_simulated_movie_out_of_range_are_named(simulate, message):
    with pytest.raises(ConfigError, match=message):
        campaign(movies=[], simulate=simulate)


def test_relative_paths_are_taken_from_the_folder_of_the_campaign(tmp_path, monkeypatch):
    path = tmp_path / "study" / "campaign.yaml"
    path.parent.mkdir()
    sections = {"movies": [{"path": "../data/m.h5"}], "decode": {"model": "./models/mine"}, "site": "here.yaml"}
    path.write_text(yaml.safe_dump({"name": "x"} | sections))
    monkeypatch.chdir(tmp_path)
    found = load_campaign(Path("study/campaign.yaml"))
    assert found.movies[0].path.resolve() == tmp_path / "data" / "m.h5"
    assert Path(found.decode.model) == path.parent / "models" / "mine"
    assert Path(found.site) == path.parent / "here.yaml"


def test_names_and_absolute_paths_stay(tmp_path):
    path = tmp_path / "campaign.yaml"
    sections = {"movies": [{"path": "/data/m.h5"}], "decode": {"model": "/models/mine"}, "site": "local"}
    path.write_text(yaml.safe_dump({"name": "x"} | sections))
    found = load_campaign(path)
    assert found.movies[0].path == Path("/data/m.h5")
    assert found.decode.model == "/models/mine"
    assert found.site == "local"
    path.write_text("name: x\nmovies: [{path: m.h5}]\n")
    assert load_campaign(path).decode.model == "graphene-si"


def test_movies_of_the_command_line_replace_those_of_the_campaign():
    simulated = campaign(movies=[], simulate={}, seed=9, structure={"region_size_A": 9})
    found = with_movies(simulated, (Path("/a/b.h5"), Path("/a/c.tif")), 0.2)
    assert found.simulate is None
    assert [(m.path, m.pixel_size_A) for m in found.movies] == [(Path("/a/b.h5"), 0.2), (Path("/a/c.tif"), 0.2)]
    assert (found.seed, found.structure.region_size_A) == (9, 9)
    with pytest.raises(ConfigError, match=r"movies on the command line: .*pixel_size_A"):
        with_movies(simulated, (Path("/a/b.h5"),), -1)
    with pytest.raises(ConfigError, match="named alike"):
        with_movies(simulated, (Path("/a/b.h5"), Path("/c/b.h5")), None)
