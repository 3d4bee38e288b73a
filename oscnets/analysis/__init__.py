"""Analysis of waves and synchrony: phases, wavelengths, spectra by class, receptive fields, order in time and space.

The wave analysis follows Jacobs et al. (2025, appendix) after Davis et al. (2020): states become complex signals by the
Hilbert transform over time, and the wavelength at a pixel is 2 pi over the spatial gradient of their phase. Half
precision is computed in float32, also the results. NaN in is NaN out.
"""

from oscnets.analysis.signals import (
    analytic_signal,
    generalized_phase,
    instantaneous_phase,
)
from oscnets.analysis.synchrony import (
    critical_coupling,
    local_order_parameter,
    metastability,
    phase_locking,
)
from oscnets.analysis.waves import (
    class_spectra,
    long_wave_share,
    phase_gradient,
    receptive_field,
    receptive_field_width,
    wavelength,
)

__all__ = [
    "analytic_signal",
    "class_spectra",
    "critical_coupling",
    "generalized_phase",
    "instantaneous_phase",
    "local_order_parameter",
    "long_wave_share",
    "metastability",
    "phase_gradient",
    "phase_locking",
    "receptive_field",
    "receptive_field_width",
    "wavelength",
]


def __dir__() -> list[str]:
    return __all__
