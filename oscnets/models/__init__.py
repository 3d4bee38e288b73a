"""Flax modules: thin, over the pure functions of `oscnets.ops` and `oscnets.dynamics`."""

from oscnets.models.akorn import AKOrN, classification_akorn, discovery_akorn
from oscnets.models.baselines import RealNet, VisionTransformer, larger_real_net
from oscnets.models.cnn import CNN
from oscnets.models.conv_lstm import ConvLSTM
from oscnets.models.gaspnet import FeedforwardNet, GASPnet
from oscnets.models.init import gaussian_kernel, ground_truth_phases, laplace_kernel, random_phases
from oscnets.models.iterated import ItrConv, ItrSA
from oscnets.models.komplexnet import KomplexNet
from oscnets.models.kuramoto_layer import KuramotoLayer, NormReadout
from oscnets.models.linoss import LinOSS
from oscnets.models.pixel_head import Features, Segmentation
from oscnets.models.recurrent import CoRNN, SequenceOutput, WaveRNN
from oscnets.models.rotating_features import Rotated, RotatingFeatures, complex_autoencoder
from oscnets.models.unet import UNet
from oscnets.models.up_tiling import interleave, up_tiles
from oscnets.models.wave_machine import NeuralWaveMachine

__all__ = [
    "CNN",
    "AKOrN",
    "CoRNN",
    "ConvLSTM",
    "Features",
    "FeedforwardNet",
    "GASPnet",
    "ItrConv",
    "ItrSA",
    "KomplexNet",
    "KuramotoLayer",
    "LinOSS",
    "NeuralWaveMachine",
    "NormReadout",
    "RealNet",
    "Rotated",
    "RotatingFeatures",
    "Segmentation",
    "SequenceOutput",
    "UNet",
    "VisionTransformer",
    "WaveRNN",
    "classification_akorn",
    "complex_autoencoder",
    "discovery_akorn",
    "gaussian_kernel",
    "ground_truth_phases",
    "interleave",
    "laplace_kernel",
    "larger_real_net",
    "random_phases",
    "up_tiles",
]


def __dir__() -> list[str]:
    return __all__
