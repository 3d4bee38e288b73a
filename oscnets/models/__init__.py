"""Flax modules: thin, over the pure functions of `oscnets.ops` and `oscnets.dynamics`."""

from oscnets.models.baselines import RealNet, VisionTransformer, larger_real_net
from oscnets.models.conv_lstm import ConvLSTM
from oscnets.models.gaspnet import FeedforwardNet, GASPnet
from oscnets.models.komplexnet import KomplexNet, gaussian_kernel, ideal_phases, random_phases
from oscnets.models.segmentation import Segmentation
from oscnets.models.segmenters import CNN, UNet
from oscnets.models.wave_machine import WaveMachine, laplace_kernel

__all__ = [
    "CNN",
    "ConvLSTM",
    "FeedforwardNet",
    "GASPnet",
    "KomplexNet",
    "RealNet",
    "Segmentation",
    "UNet",
    "VisionTransformer",
    "WaveMachine",
    "gaussian_kernel",
    "ideal_phases",
    "laplace_kernel",
    "larger_real_net",
    "random_phases",
]
