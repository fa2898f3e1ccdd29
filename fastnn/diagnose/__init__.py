"""Looking into a model: what it consists of and what it does.

Every examination gives a `fastnn.report.Report`: data, `to_json` and `plot`. Plots need the extra `plot`,
`hessian_spectrum` and `sharpness` the extra `scipy`.
"""

from .curvature import HessianSpectrum, Sharpness, hessian_spectrum, sharpness
from .landscape import LossLandscape, LossPath, interpolate_loss, loss_landscape
from .layers import LayerMonitor, LayerReport, LayerStatistics, layer_statistics
from .noise import NoiseScale, gradient_noise_scale
from .nonfinite import NonFiniteError, NonFiniteReport, NonFiniteTrace, OperationRange, trace_nonfinite
from .paths import (
    OptimizerPath,
    OptimizerPaths,
    TestFunction,
    beale,
    bowl,
    himmelblau,
    optimizer_paths,
    rosenbrock,
    saddle,
)
from .summary import LayerSummary, Summary, summary
from .updates import UpdateRatios, UpdateReport
from .weights import ParameterStatistics, WeightReport, weight_statistics

__all__ = [
    "HessianSpectrum",
    "LayerMonitor",
    "LayerReport",
    "LayerStatistics",
    "LayerSummary",
    "LossLandscape",
    "LossPath",
    "NoiseScale",
    "NonFiniteError",
    "NonFiniteReport",
    "NonFiniteTrace",
    "OperationRange",
    "OptimizerPath",
    "OptimizerPaths",
    "ParameterStatistics",
    "Sharpness",
    "Summary",
    "TestFunction",
    "UpdateRatios",
    "UpdateReport",
    "WeightReport",
    "beale",
    "bowl",
    "gradient_noise_scale",
    "hessian_spectrum",
    "himmelblau",
    "interpolate_loss",
    "layer_statistics",
    "loss_landscape",
    "optimizer_paths",
    "rosenbrock",
    "saddle",
    "sharpness",
    "summary",
    "trace_nonfinite",
    "weight_statistics",
]
