"""Flax modules: thin, over the pure functions of `oscnets.ops` and `oscnets.dynamics`."""

from oscnets.models.baselines import RealNet, larger_real_net
from oscnets.models.komplexnet import KomplexNet, gaussian_kernel, ideal_phases, random_phases

__all__ = ["KomplexNet", "RealNet", "gaussian_kernel", "ideal_phases", "larger_real_net", "random_phases"]
