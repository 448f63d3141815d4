"""Sections that show pair distances, mean force, and the forces that the motion tells of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hpcstem.errors import HpcstemError
from hpcstem.report.figures_forces import fitted_potentials, mean_force
from hpcstem.report.figures_rdf import radial_distributions
from hpcstem.report.formatting import UNKNOWN, count, counted, pair_label, plus_minus, quantity
from hpcstem.report.page import Absent, Block, Picture, Section, Table, Words, shortened
from hpcstem.report.records import Fits, FittedMovie, RdfSummary
from hpcstem.report.run import Run

_SHOWN_MOVIES = 3
_LISTED_MOVIES = 500


def rdf_section(run: Run) -> Section:
    """Radial distribution functions, and potentials of mean force with the reasons not to believe them."""
    title = "Radial distribution functions and mean force"
    if run.rdf is None:
        return Section("rdf", title, [Absent("Radial distribution functions are", "potentials")])
    r_A = run.rdf["r_A"]
    summary = run.rdf_summary or RdfSummary()
    pairs = [name[2:] for name in run.rdf if name.startswith("g_")]
    empty = [pair for pair in pairs if summary.n_pairs.get(pair) == 0]
    histogram = {pair: run.rdf[f"g_{pair}"] for pair in pairs if pair not in empty}
    density = {name[4:]: values for name, values in run.rdf.items() if name.startswith("kde_")}
    for name, values in run.rdf.items():
        if values.shape != r_A.shape or not len(r_A):
            path = run.folder / "potentials" / "rdf.npz"
            raise HpcstemError(f"{path}, array {name}", f"shape {values.shape}", f"the shape of r_A, {r_A.shape}")
    if not histogram:
        return Section("rdf", title, [Words("No distances were found.")])
    caption = (
        f"g(r) by pair of species, from {count(summary.n_frames)} frames in bins of "
        f"{quantity(summary.bin_A, 3, 'Å')}. Filled, the histogram of distances; line, the kernel density "
        "estimate, which lowers and widens sharp peaks. Dotted, g = 1; dashed, the C–C distance of graphene. "
        f"First peak {_first_peak(summary)}."
    )
    if empty:
        caption += f" No distances were found for {', '.join(pair_label(pair) for pair in empty)}."
    figure = radial_distributions(r_A, histogram, density, summary.n_pairs)
    return Section("rdf", title, [Picture(figure, caption), *_mean_force_blocks(run.rdf, summary)])


def forces_section(run: Run) -> Section | None:
    """Pair forces from the motion in each movie; None where the campaign asked for none."""
    title = "Forces from motion"
    if run.fits is None:
        if run.rdf_summary is not None:
            return None
        return Section("forces", title, [Absent("Forces from motion are", "potentials")])
    known = [movie for movie in run.fits.movies if movie.is_identifiable]
    blocks: list[Block] = [
        Words(
            f"Pair forces are identifiable in {count(len(known))} of {counted(len(run.fits.movies), 'movie')}. They "
            "are where the frame before predicts the motion, on blocks that were held out, better with pair forces "
            "than with a spring to each atom’s mean place."
        ),
        _verdicts(run.fits.movies),
    ]
    for movie in known[:_SHOWN_MOVIES]:
        blocks.append(_potential_picture(run, movie))
    if known:
        blocks.append(_wells(known, run.fits))
    return Section("forces", title, blocks)


def _mean_force_blocks(arrays: Mapping[str, np.ndarray], summary: RdfSummary) -> list[Block]:
    """w(r) with its errors, and why it may be no potential."""
    curves = {
        name[2:]: (values, arrays.get(f"error_{name[2:]}", np.full(values.shape, np.nan)))
        for name, values in arrays.items()
        if name.startswith("w_") and np.isfinite(values).any()
    }
    blocks: list[Block] = []
    if curves:
        caption = (
            "Potential of mean force, w(r) = −kT ln g(r) less its mean over the last tenth of the range, in units of "
            "kT, where 20 or more distances were found in a bin; band, 95 % from the scatter over blocks of frames. It "
            "is a potential in equilibrium only."
        )
        blocks.append(Picture(mean_force(arrays["r_A"], curves), caption))
    rows = [(name, reason) for name, reasons in summary.warnings.items() for reason in reasons]
    if rows:
        shown, note = shortened(rows, _LISTED_MOVIES, "reasons")
        caption = f"Why the potential of mean force is no potential here. {note}".strip()
        blocks.append(Table(("Movie", "Not in equilibrium"), shown, caption, text_columns=2))
    return blocks


def _verdicts(movies: Sequence[FittedMovie]) -> Table:
    rows = []
    for movie in movies:
        fit = movie.fit
        said = "; ".join(fit.sentences) if fit else f"not fitted: {movie.because or UNKNOWN}"
        rows.append(
            (
                movie.name,
                said or UNKNOWN,
                (fit.estimator if fit else None) or UNKNOWN,
                count(fit.frames if fit else None),
                quantity(fit.localisation_A if fit else None, 3),
            )
        )
    header = ("Movie", "What the motion says", "Estimator", "Intervals", "Localisation noise [Å]")
    shown, note = shortened(rows, _LISTED_MOVIES, "movies")
    return Table(header, shown, f"Verdict by movie. {note}".strip(), text_columns=3)


def _potential_picture(run: Run, movie: FittedMovie) -> Block:
    assert movie.fit is not None  # noqa: S101 - the caller asks for fitted ones
    pairs = [pair for pair, found in movie.fit.pairs.items() if found.identifiable]
    if movie.fit.kT is None or not pairs:
        lacks = "kT is not known" if pairs else "no pair of species by itself is identifiable"
        return Words(f"{movie.name}: {lacks}, so that no potential is drawn.")
    silent = [pair_label(pair) for pair in movie.fit.pairs if pair not in pairs]
    caption = (
        f"{movie.name}: pair potential fitted to the motion, in units of kT, at the distances at which 20 or more "
        "pairs were seen within the reach of a function; band, 95 % of the posterior. Thin, the potential of mean "
        "force of all movies."
    )
    if silent:
        caption += f" Not identifiable, and not drawn: {', '.join(silent)}."
    curves = run.rdf or {}
    beside = {name[2:]: values for name, values in curves.items() if name.startswith("w_")}
    figure = fitted_potentials(run.potential(movie.name), pairs, curves.get("r_A"), beside)
    return Picture(figure, caption)


def _wells(movies: Sequence[FittedMovie], fits: Fits) -> Table:
    """Wells of the identifiable pairs beside Lennard-Jones parameters of the literature."""
    from hpcstem.potentials.literature import LENNARD_JONES

    rows = [
        (
            f"motion in {movie.name}",
            pair_label(pair),
            quantity(found.minimum_A, 3),
            plus_minus(found.depth_meV, found.depth_error_meV, 2),
            plus_minus(found.depth_kT, found.depth_error_kT, 2),
        )
        for movie in movies
        for pair, found in (movie.fit.pairs.items() if movie.fit else ())
        if found.identifiable
    ]
    shown, note = shortened(rows, _LISTED_MOVIES, "wells")
    shown = [*shown] + [
        (row.source, pair_label("-".join(row.pair)), quantity(row.minimum_A, 3), quantity(row.epsilon_meV, 2), UNKNOWN)
        for row in LENNARD_JONES
    ]
    first = next(iter(movies[0].fit.pairs), "") if movies[0].fit else ""
    caption = (
        "Wells beside Lennard-Jones parameters of the literature; – where no minimum lies where the data speak. The "
        f"unit of energy is set by the depth of {pair_label(first)}, {quantity(fits.depth_meV, 2, 'meV')}; depths in "
        f"units of kT need no such setting. {note}"
    ).strip()
    header = ("Source", "Pair", "Minimum [Å]", "Depth [meV]", "Depth / kT")
    return Table(header, shown, caption, text_columns=2)


def _first_peak(summary: RdfSummary) -> str:
    if isinstance(summary.first_peak_A, dict):
        return ", ".join(f"{pair_label(pair)} {quantity(r, 3, 'Å')}" for pair, r in summary.first_peak_A.items())
    return quantity(summary.first_peak_A, 3, "Å")
