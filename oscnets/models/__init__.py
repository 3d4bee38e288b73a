"""Flax modules: thin, over the pure functions of `oscnets.ops` and `oscnets.dynamics`."""

from oscnets.models.baselines import RealNet, VisionTransformer, larger_real_net
from oscnets.models.cnn import CNN
from oscnets.models.conv_lstm import ConvLSTM
from oscnets.models.gaspnet import FeedforwardNet, GASPnet
from oscnets.models.init import gaussian_kernel, ground_truth_phases, laplace_kernel, random_phases
from oscnets.models.komplexnet import KomplexNet
from oscnets.models.linoss import LinOSS
from oscnets.models.pixel_head import Features, Segmentation
from oscnets.models.recurrent import CoRNN, SequenceOutput, WaveRNN
from oscnets.models.unet import UNet
from oscnets.models.wave_machine import NeuralWaveMachine

__all__ = [
    "CNN",
    "CoRNN",
    "ConvLSTM",
    "Features",
    "FeedforwardNet",
    "GASPnet",
    "KomplexNet",
    "LinOSS",
    "NeuralWaveMachine",
    "RealNet",
    "Segmentation",
    "SequenceOutput",
    "UNet",
    "VisionTransformer",
    "WaveRNN",
    "gaussian_kernel",
    "ground_truth_phases",
    "laplace_kernel",
    "larger_real_net",
    "random_phases",
]


def __dir__() -> list[str]:
    return __all__
