"""The networks: parameter counts, shapes, sizes they refuse, and reproducible beginnings."""

import numpy as np
import pytest

from fastnn import data, models, nn, optim
from fastnn.autograd.tensor import Tensor
from fastnn.random import Generator

COUNTS = {
    "digits": (1, 8, 67_754),
    "mlp": (1, 28, 235_146),
    "lenet5": (1, 28, 61_706),
    "small": (3, 32, 113_962),
    "resnet8": (3, 32, 75_290),
    "resnet14": (3, 32, 172_506),
    "resnet20": (3, 32, 269_722),
    "resnet32": (3, 32, 464_154),
    "resnet44": (3, 32, 658_586),
    "resnet56": (3, 32, 853_018),
    "mobile": (3, 32, 136_778),
    "speed94": (3, 32, 1_972_792),
}
LIGHT = ["digits", "mlp", "lenet5", "small", "resnet8", "mobile"]


def test_every_model_is_counted():
    assert list(COUNTS) == models.names()


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name):
    channels, size, count = COUNTS[name]
    model = models.create(name, 10, channels, size)
    assert sum(p.data.size for p in model.parameters()) == count


@pytest.mark.parametrize("name", LIGHT)
def test_output_and_gradients(name):
    model = models.create(name, 7, 2, (20, 16), Generator(1))
    x = np.random.default_rng(0).standard_normal((3, 2, 20, 16)).astype(np.float32)
    y = model(Tensor(x))
    assert y.shape == (3, 7)
    (y * y).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_speed94_shapes():
    model = models.create("speed94")
    assert model.eval()(Tensor(np.zeros((1, 3, 32, 32), np.float32))).shape == (1, 10)
    assert models.create("speed94", image_size=9)(Tensor(np.zeros((2, 3, 9, 9), np.float32))).shape == (2, 10)


@pytest.mark.parametrize("name", ["digits", "resnet8"])
def test_generator_decides_the_beginning(name):
    first, again, other = (models.create(name, generator=Generator(seed)) for seed in (1, 1, 2))
    values = [np.concatenate([p.data.ravel() for p in m.parameters()]) for m in (first, again, other)]
    np.testing.assert_array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


def test_pad_shortcut():
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 4))
    y = models.PadShortcut(3, 6, 2)(Tensor(x)).data
    assert y.shape == (2, 6, 3, 2)
    np.testing.assert_array_equal(y[:, 1:4], x[:, :, ::2, ::2])
    np.testing.assert_array_equal(y[:, [0, 4, 5]], 0)
    with pytest.raises(ValueError, match="expected out_channels >= 3"):
        models.PadShortcut(3, 2, 1)


def test_resnet_is_its_formula():
    """Against the block written out with the plain layers."""
    block = models.BasicBlock(4, 8, 2).double()
    x = Tensor(np.random.default_rng(0).standard_normal((2, 4, 6, 6)))
    y = block(x).data
    relu = nn.ReLU()
    plain = block.bn2(block.conv2(relu(block.bn1(block.conv1(x)))))
    np.testing.assert_allclose(y, relu(plain + block.shortcut(x)).data, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("vgg", {}, "there is no model 'vgg'; there are digits, mlp"),
        ("lenet5", {"image_size": 11}, "lenet5: expected images of at least 12×12"),
        ("small", {"image_size": (32, 7)}, "small: expected images of at least 8×8"),
        ("digits", {"image_size": 3}, "digits: expected images of at least 4×4"),
        ("speed94", {"image_size": 8}, "speed94: expected images of at least 9×9"),
        ("mlp", {"num_classes": 0}, "expected positive sizes"),
        ("mlp", {"image_size": (3, 3, 3)}, "expected image_size to be one or two positive ints"),
    ],
)
def test_what_create_refuses(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        models.create(name, **arguments)


def test_resnet_depth():
    with pytest.raises(ValueError, match="expected a depth of 6 n"):
        models.ResNet(18)


def test_the_default_model_reads_digits():
    """Four epochs of plain SGD; the recipe of `fastnn train` is longer and does better."""
    train, test = data.Digits(train=True), data.Digits(train=False)
    inputs = [each.images.transpose(0, 3, 1, 2).astype(np.float32) / 128 - 0.6 for each in (train, test)]
    model = models.create("digits", 10, 1, 8, Generator(0))
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    for epoch in range(4):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - epoch / 4)
        order = np.random.default_rng(epoch).permutation(len(train))
        for rows in np.array_split(order, 23):
            optimizer.zero_grad()
            nn.CrossEntropyLoss()(model(Tensor(inputs[0][rows])), Tensor(train.labels[rows])).backward()
            optimizer.step()
    predicted = model.eval()(Tensor(inputs[1])).data.argmax(1)
    assert (predicted == test.labels).mean() >= 0.96


def test_speed94_whitens_patches():
    rng = np.random.default_rng(0)
    images = rng.standard_normal((200, 3, 32, 32)).cumsum(axis=3).astype(np.float32) / 8
    model = models.create("speed94")
    before = model[0].bias.data.copy()
    model.fit_patches(Tensor(images))
    model[0].bias.data[...] = 0
    outputs = model[0](Tensor(images)).data.transpose(1, 0, 2, 3).reshape(24, -1).astype(np.float64)
    moments = outputs @ outputs.T / outputs.shape[1]
    # Uncorrelated, of second moment λ / (λ + ε), and every filter followed by its negative.
    np.testing.assert_allclose(moments[:12, :12], np.diag(np.diag(moments)[:12]), atol=2e-3)
    assert np.all(np.diag(moments) < 1.01)
    assert np.diag(moments)[0] > 0.99
    np.testing.assert_array_equal(outputs[12:], -outputs[:12])
    assert not model[0].weight.requires_grad
    assert before.any()


def test_speed94_begins_as_the_identity_with_small_outputs():
    model = models.create("speed94", generator=Generator(0))
    x = np.random.default_rng(0).standard_normal((2, 64, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(model[6](Tensor(x)).data, x, atol=5e-6)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert "4.weight" not in trained
    assert "4.bias" in trained
    head = model[len(model) - 1]
    np.testing.assert_allclose(head(Tensor(np.eye(256, dtype=np.float32))).data, head.weight.data.T / 9, rtol=1e-6)


def test_a_part_of_a_network_is_a_sequence():
    part = models.create("speed94")[:3]
    assert type(part) is nn.Sequential
    assert len(part) == 3
