"""Small networks for small images, by name (`create`) and by constructor.

A function that is called like a network takes what `create` takes; a class has all the choices of its family.
"""

from . import zoo
from .all_cnn import AllCNNC, all_cnn_c
from .blocks import ConvShortcut, PadShortcut
from .convnet import digits, small
from .densenet import DenseBlock, DenseLayer, DenseNet, Transition, densenet_bc
from .lenet import lenet5
from .mlp import mlp
from .mobile import mobile
from .mobilenet import InvertedResidual, MobileNetV1, MobileNetV2, mobilenet_v1, mobilenet_v2
from .registry import create, families, names
from .resnet import BasicBlock, ResNet, ResNet18, resnet, resnet18
from .speed94 import Speed94, speed94
from .vgg import VGG, vgg
from .wide_resnet import PreActivationBlock, WideResNet, wide_resnet

__all__ = [
    "VGG",
    "AllCNNC",
    "BasicBlock",
    "ConvShortcut",
    "DenseBlock",
    "DenseLayer",
    "DenseNet",
    "InvertedResidual",
    "MobileNetV1",
    "MobileNetV2",
    "PadShortcut",
    "PreActivationBlock",
    "ResNet",
    "ResNet18",
    "Speed94",
    "Transition",
    "WideResNet",
    "all_cnn_c",
    "create",
    "densenet_bc",
    "digits",
    "families",
    "lenet5",
    "mlp",
    "mobile",
    "mobilenet_v1",
    "mobilenet_v2",
    "names",
    "resnet",
    "resnet18",
    "small",
    "speed94",
    "vgg",
    "wide_resnet",
    "zoo",
]
