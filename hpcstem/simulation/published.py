"""What the study of a patch of 91 atoms printed, to lay beside what a sweep finds: PBE, no spin, no dispersion."""

from __future__ import annotations

LENGTHS_A = {
    (300.0, 5): 1.713,
    (300.0, 6): 1.443,
    (300.0, 7): 1.447,
    (2000.0, 6): 1.422,
    (4000.0, 5): 1.606,
    (4000.0, 7): 1.430,
}
"""Bond lengths by temperature [K] and ring size; at 4000 K those of a 5-7-7-5 defect [Å]."""

ANGLES = "angles in rings vary by 1 to 5° up to 1200 K"
"""What it says of angles, of which it prints no table."""

ADSORPTION_EV = {
    "CH": "−7.018 to −14.549",
    "CH2": "−7.018 to −14.549",
    "CH3": "−3.709, −7.220, −4.306",
}
"""Energies of adsorption by species as printed: of CH and CH2 the range together, of CH3 those of three poses [eV].

Its formula is the one used here, by which what is bound is positive; its numbers are negative.
"""

CR_ABOVE_HOLLOW_EV = {"bridge": 923.351 - 910.514, "top": 923.351 - 920.305, "hollow": 0.0}
"""Total energies of the sheet with Cr by site, over that of the hollow site [eV]."""

CR_C_LENGTH_A = 2.165
"""Mean length of the bonds of Cr over the hollow site [Å]."""

ADSORBATES = "Cr over a bridge breaks bonds within 10 fs, over a hollow it stays for 2 ps; CH3 heals holes within 2 ps"
"""What it says of molecular dynamics with adsorbates at 300 K."""
