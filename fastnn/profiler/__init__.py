"""Where the time of a program goes: per operation time, FLOPs, bytes and share of the roofline."""

from .recorder import profile, record_function
from .report import OperationProfile, PassProfile, Profile
from .roofline import Roofline, RooflinePoint

__all__ = [
    "OperationProfile", "PassProfile", "Profile", "Roofline", "RooflinePoint", "profile", "record_function",
]  # fmt: skip
