"""Datasets, samplers and the loader that makes mini-batches of them.

A dataset answers for whole batches (`Dataset.batch`), a sampler gives the order of an epoch, and
`DataLoader` puts both together, transforms the images and hands out Tensors. Images stay uint8 (N, H, W, C)
up to the last step.
"""

from fastnn.data.catalogue import load
from fastnn.data.cifar import CIFAR10, CIFAR100
from fastnn.data.dataset import ArrayDataset, Dataset, TensorDataset
from fastnn.data.digits import Digits
from fastnn.data.fetch import download
from fastnn.data.folder import ImageFolder
from fastnn.data.idx import read_idx
from fastnn.data.loader import BatchTransform, DataLoader
from fastnn.data.mnist import MNIST, FashionMNIST
from fastnn.data.sampler import (
    ClassBalancedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from fastnn.data.subset import ClassSubset, Subset, random_split

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "ArrayDataset",
    "BatchTransform",
    "ClassBalancedSampler",
    "ClassSubset",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageFolder",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "download",
    "load",
    "random_split",
    "read_idx",
]
