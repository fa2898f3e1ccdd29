"""The model summary: shapes, counts and bytes of known networks, and a model left as it was."""

import json

import numpy as np
import pytest

from fastnn import models, nn
from fastnn.diagnose import summary


def test_lenet_by_hand():
    result = summary(models.create("lenet5", 10, 1, 28), (2, 1, 28, 28))
    rows = {layer.name: layer for layer in result.layers}
    assert list(rows) == [str(i) for i in range(12)]
    assert rows["0"].output_shape == (2, 6, 28, 28)
    assert rows["0"].parameters == 6 * 25 + 6
    assert rows["0"].multiply_adds == 2 * 6 * 28 * 28 * 25
    assert rows["0"].activation_bytes == 2 * 6 * 28 * 28 * 4
    assert rows["3"].multiply_adds == 2 * 16 * 10 * 10 * 150
    assert rows["7"].multiply_adds == 2 * 400 * 120
    assert rows["2"].parameters == rows["2"].multiply_adds == 0
    assert rows["5"].kind == "MaxPool2d"
    assert result.parameters == result.trainable == 61_706
    assert result.multiply_adds == 2 * (117_600 + 240_000 + 48_000 + 10_080 + 840)
    assert result.activation_bytes == sum(layer.activation_bytes for layer in result.layers)


def test_resnet20_multiply_adds():
    """Seven convolutions a stage, each of 32·32·16·16·9 but the first of the net and of the later stages."""
    full = 32 * 32 * 16 * 16 * 9
    result = summary(models.create("resnet20"), (1, 3, 32, 32))
    assert result.multiply_adds == full * 3 // 16 + 16 * full + 2 * full // 2 + 640
    assert result.parameters == 269_722


def test_grouped_convolution():
    result = summary(nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), (1, 8, 10, 10))
    assert result.multiply_adds == 8 * 100 * 9
    assert result.layers[0].name == ""


def test_shared_layers_count_once_and_run_twice():
    layer = nn.Linear(4, 4, bias=False)
    result = summary(nn.Sequential(layer, nn.ReLU(), layer), (1, 4))
    assert [each.parameters for each in result.layers] == [16, 0, 0]
    assert [each.multiply_adds for each in result.layers] == [16, 0, 16]
    assert result.parameters == 16


def test_the_model_is_left_as_it_was():
    model = models.create("digits", 10, 1, 8)
    model[1].eval()
    model[0].weight.requires_grad_(False)
    before = {name: value.data.copy() for name, value in model.state_dict().items()}
    result = summary(model, [4, 1, 8, 8])
    assert model.training
    assert not model[1].training
    assert not any(module._hooks for module in model.modules())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.data, before[name])
    assert result.trainable == result.parameters - 288
    assert result.buffers == 2 * (32 + 32 + 64 + 64) + 4


def test_text_and_json():
    result = summary(models.create("mlp", 10, 1, 28), (1, 1, 28, 28))
    text = str(result)
    assert text.startswith("Sequential, input (1, 1, 28, 28)\n")
    assert "235,146" in text
    assert max(len(line) for line in text.splitlines()) < 100
    table = json.loads(json.dumps(result.to_dict()))
    assert table["multiply_adds"] == 784 * 256 + 256 * 128 + 1280
    assert table["layers"][1] == {
        "name": "1",
        "kind": "Linear",
        "output_shape": [1, 256],
        "parameters": 200_960,
        "multiply_adds": 200_704,
        "activation_bytes": 1024,
    }


def test_dtype_follows_the_model():
    assert summary(nn.Linear(2, 3).double(), (1, 2)).activation_bytes == 24


def test_wrong_shape_leaves_no_hooks():
    model = models.create("mlp", 10, 1, 28)
    with pytest.raises(ValueError, match="linear"):
        summary(model, (1, 1, 27, 28))
    assert not any(module._hooks for module in model.modules())
    assert model.training
