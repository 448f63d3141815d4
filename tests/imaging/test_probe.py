"""The probe against optics that is known in closed form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import constants, integrate, special

from hpcstem.imaging.probe import Probe, annular_cross_section_A2, relative_contrast

SHAPE, STEP_A = (256, 300), 0.06


def spread(probe, shape=SHAPE, step_A=STEP_A):
    """Intensity on the grid with the origin at pixel (0, 0)."""
    return np.fft.irfft2(probe.transfer(shape, step_A), s=shape)


def centre_of_intensity_A(intensity, step_A=STEP_A):
    """(x, y) from the first moment, coordinates wrapped about the origin."""
    y, x = (np.fft.fftfreq(n, 1 / n) * step_A for n in intensity.shape)
    return np.array([(intensity.sum(axis=0) * x).sum(), (intensity.sum(axis=1) * y).sum()])


@pytest.mark.parametrize(("voltage_kV", "wavelength_A"), [(60, 0.048661), (100, 0.037014), (200, 0.025079)])
def test_wavelength(voltage_kV, wavelength_A):
    assert Probe(voltage_kV).wavelength_A == pytest.approx(wavelength_A, rel=2e-5)


@pytest.mark.parametrize("name", ["voltage_kV", "convergence_mrad"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_refuses_what_is_not_positive(name, value):
    with pytest.raises(ValueError, match=name):
        Probe(**{name: value})


aberrations = st.builds(
    Probe,
    voltage_kV=st.floats(60, 200),
    convergence_mrad=st.floats(20, 35),
    source_sigma_A=st.floats(0.1, 0.5),
    defocus_A=st.floats(-30, 30),
    astigmatism_A=st.floats(0, 30),
    astigmatism_rad=st.floats(0, np.pi),
    coma_A=st.floats(-500, 500),
)


@settings(max_examples=25)
@given(aberrations)
def test_unit_integral_and_centre_at_the_origin(probe):
    transfer = probe.transfer(SHAPE, STEP_A)
    assert transfer.shape == (SHAPE[0], SHAPE[1] // 2 + 1)
    assert transfer[0, 0] == pytest.approx(1, abs=1e-12)
    intensity = spread(probe)
    assert intensity.sum() == pytest.approx(1, abs=1e-9)
    # The tails beyond the grid are the limit: their first moment is cut off at ±9 Å.
    assert np.abs(centre_of_intensity_A(intensity)).max() < 0.02


def test_coma_alone_would_move_the_centre():
    """The same spread function without the shift lies beside the origin: the test above can fail."""
    probe = Probe(source_sigma_A=0.2, coma_A=400)
    frequency = np.fft.fftfreq(256, STEP_A)
    angle_y, angle_x = np.meshgrid(frequency * probe.wavelength_A, frequency * probe.wavelength_A, indexing="ij")
    squared = angle_x**2 + angle_y**2
    phase = 2 * np.pi / probe.wavelength_A * squared * probe.coma_A * angle_x / 3
    wave = np.fft.ifft2(np.where(squared <= 0.031**2, np.exp(-1j * phase), 0))
    unshifted = np.abs(wave) ** 2 / (np.abs(wave) ** 2).sum()
    assert np.abs(centre_of_intensity_A(unshifted)).max() > 0.1


def test_in_focus_it_is_the_airy_pattern():
    probe = Probe(source_sigma_A=0.0)
    profile = spread(probe, (512, 512))[0, :40]
    radius = 2 * np.pi * 0.031 / probe.wavelength_A * STEP_A * np.arange(1, 40)
    airy = (2 * special.j1(radius) / radius) ** 2
    np.testing.assert_allclose(profile[1:] / profile[0], airy, atol=0.01)


@pytest.mark.parametrize("defocus_A", [-60.0, 30.0, 60.0, 90.0])
def test_defocus_lowers_the_middle_as_known(defocus_A):
    """On the axis (sin x / x)², x = π C10 α² / 2λ."""
    focused, defocused = (Probe(source_sigma_A=0.0, defocus_A=c) for c in (0.0, defocus_A))
    x = np.pi * defocus_A * 0.031**2 / 2 / focused.wavelength_A
    ratio = spread(defocused, (512, 512))[0, 0] / spread(focused, (512, 512))[0, 0]
    assert ratio == pytest.approx((np.sin(x) / x) ** 2, abs=0.01)


def test_source_broadens_by_its_variance():
    grid = (128, 128), 0.08
    none, three, four, five = (Probe(source_sigma_A=s, coma_A=200).transfer(*grid) for s in (0, 0.3, 0.4, 0.5))
    np.testing.assert_allclose(three * four, five * none, atol=1e-12)
    frequency = np.fft.rfftfreq(128, 0.08)
    seen = np.abs(none[0]) > 1e-3
    variance_A2 = -np.log(np.abs(three[0] / none[0])[seen][1:]) / (2 * np.pi**2 * frequency[seen][1:] ** 2)
    np.testing.assert_allclose(variance_A2, 0.09, rtol=1e-9)


@pytest.mark.parametrize("voltage_kV", [60, 100, 200])
def test_cross_section_is_rutherfords(voltage_kV):
    """Against the integral over the ring with sin^4(θ/2) and relativistic momentum and speed, in SI units."""
    rest_J = constants.m_e * constants.c**2
    total_J = rest_J + voltage_kV * 1e3 * constants.e
    momentum = np.sqrt(total_J**2 - rest_J**2) / constants.c
    speed = momentum * constants.c**2 / total_J
    length = 6 * constants.e**2 / (4 * np.pi * constants.epsilon_0) / (2 * momentum * speed)
    ring, _ = integrate.quad(lambda t: 2 * np.pi * np.sin(t) * (length / np.sin(t / 2) ** 2) ** 2, 0.08, 0.2)
    assert annular_cross_section_A2(voltage_kV) == pytest.approx(ring * 1e20, rel=0.02)


def test_cross_section_order_of_magnitude():
    assert 5e-4 < annular_cross_section_A2(60) < 2e-3
    assert annular_cross_section_A2(60, 80, 100) + annular_cross_section_A2(60, 100, 200) == pytest.approx(
        annular_cross_section_A2(60)
    )


def test_relative_contrast():
    np.testing.assert_allclose(relative_contrast(np.array([6, 14])), [1, (14 / 6) ** 1.7])
