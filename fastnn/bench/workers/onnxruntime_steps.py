"""Inference steps of ONNX Runtime, on the networks that PyTorch exports."""

from __future__ import annotations

import runpy
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import torch


def prepare(task: Mapping[str, Any]) -> Callable[[], float]:
    """The step of a task; see `fastnn.bench.steps` for what a task holds."""
    load = runpy.run_path(str(Path(__file__).with_name("torch_steps.py")))["load"]
    model, x, _ = load(task)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "network.onnx")
        torch.onnx.export(model.eval(), (x,), path, input_names=["x"], dynamo=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = task["threads"]
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    images = {"x": x.numpy()}
    return lambda: float(session.run(None, images)[0][0, 0])
