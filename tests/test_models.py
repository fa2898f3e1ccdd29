"""The networks: parameter counts, shapes, sizes they refuse, and reproducible beginnings."""

import re

import numpy as np
import pytest

from fastnn import data, diagnose, models, nn, optim
from fastnn.autograd.tensor import Tensor
from fastnn.random import Generator
from tests.process import ROOT

COUNTS = {
    "mlp": (235_146, None),
    "lenet5": (61_706, None),
    "digits": (67_754, None),
    "small": (113_962, None),
    "vgg_small": (289_194, None),
    "vgg11_bn": (9_231_114, None),
    "vgg13_bn": (9_416_010, None),
    "vgg16_bn": (14_728_266, "15 M"),
    "vgg19_bn": (20_040_522, None),
    "all_cnn_c": (1_369_738, "1.4 M"),
    "resnet8": (75_290, None),
    "resnet14": (172_506, None),
    "resnet20": (269_722, "0.27 M"),
    "resnet32": (464_154, "0.46 M"),
    "resnet44": (658_586, "0.66 M"),
    "resnet56": (853_018, "0.85 M"),
    "resnet110": (1_727_962, "1.7 M"),
    "resnet8_b": (78_042, None),
    "resnet14_b": (175_258, None),
    "resnet20_b": (272_474, None),
    "resnet32_b": (466_906, None),
    "resnet44_b": (661_338, None),
    "resnet56_b": (855_770, None),
    "resnet110_b": (1_730_714, None),
    "resnet18": (11_173_962, "11.17 M"),
    "wrn_10_2": (303_706, None),
    "wrn_16_2": (691_674, "0.7 M"),
    "wrn_16_4": (2_748_890, "2.75 M"),
    "wrn_16_8": (10_961_370, "11.0 M"),
    "wrn_28_2": (1_467_610, "1.5 M"),
    "wrn_40_2": (2_243_546, "2.2 M"),
    "wrn_28_10": (36_479_194, "36.5 M"),
    "densenet_bc_40_12": (176_122, "0.18 M"),
    "densenet_bc_100_12": (769_162, "0.8 M"),
    "mobile": (136_778, None),
    "mobilenet_v1_025": (215_642, None),
    "mobilenet_v1_050": (823_722, None),
    "mobilenet_v1_075": (1_824_250, None),
    "mobilenet_v1": (3_217_226, None),
    "mobilenet_v2_025": (250_922, None),
    "mobilenet_v2_050": (700_490, None),
    "mobilenet_v2_075": (1_368_234, None),
    "mobilenet_v2": (2_236_682, None),
    "speed94": (1_972_792, None),
}
"""Parameters for ten classes, on the images of `usual`, and what is printed for that; docs/models.md says where."""

FOR_IMAGENET = {
    "mobilenet_v1": (4_231_976, "4.2 M"),
    "mobilenet_v1_075": (2_585_560, "2.6 M"),
    "mobilenet_v1_050": (1_331_592, "1.3 M"),
    "mobilenet_v1_025": (470_072, "0.5 M"),
    "mobilenet_v2": (3_504_872, "3.5 M"),
}
"""Parameters for a thousand classes; printed in table 6 and 7 of the first paper, and for version 2 by torchvision."""

LIGHT = [
    "digits", "mlp", "lenet5", "small", "vgg_small", "all_cnn_c", "resnet8", "resnet8_b", "wrn_10_2",
    "densenet_bc_40_12", "mobile", "mobilenet_v1_025", "mobilenet_v2_025",
]  # fmt: skip


def usual(name):
    """Channels and size of the images that a network is counted on."""
    return {"digits": (1, 8), "mlp": (1, 28), "lenet5": (1, 28)}.get(name, (3, 32))


def count(name, classes=10):
    return sum(p.data.size for p in models.create(name, classes, *usual(name)).parameters())


def rounds_to(number, printed):
    """Whether `number`, in millions with as many decimals as `printed`, is that."""
    decimals = len(printed.removesuffix(" M").partition(".")[2])
    return f"{number / 1e6:.{decimals}f} M" == printed


def test_every_model_is_counted():
    assert list(COUNTS) == models.names()


@pytest.fixture
def blank(monkeypatch):
    """Networks whose convolutions and linear layers draw no values: the large ones are there at once."""
    for method in ("kaiming_normal_", "kaiming_uniform_", "uniform_", "normal_"):
        monkeypatch.setattr(nn.init, method, lambda tensor, *args, **options: tensor)


@pytest.mark.usefixtures("blank")
@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name):
    exact, printed = COUNTS[name]
    assert count(name) == exact
    assert printed is None or rounds_to(exact, printed)


@pytest.mark.usefixtures("blank")
@pytest.mark.parametrize("name", FOR_IMAGENET)
def test_parameter_counts_for_a_thousand_classes(name):
    exact, printed = FOR_IMAGENET[name]
    assert count(name, 1000) == exact
    assert rounds_to(exact, printed)


def table():
    """The rows of docs/models.md."""
    lines = (ROOT / "docs" / "models.md").read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]


@pytest.mark.usefixtures("blank")
def test_the_documents_table_is_true():
    """Names, counts and multiply-adds, and the count that is printed in a paper; the picture is drawn from the same."""
    found = {row[0].strip("`"): row[1:] for row in table()}
    assert list(found) == models.names()
    for name, (parameters, multiply_adds, source, _) in found.items():
        channels, size = usual(name)
        # the multiply-adds do not depend on the values; classes are ten
        seen = diagnose.summary(models.create(name, 10, channels, size), (1, channels, size, size))
        assert (parameters, multiply_adds) == (f"{seen.parameters:,}", f"{seen.multiply_adds:,}"), name
        printed = re.findall(r"[\d.]+ M", source)
        assert printed == [COUNTS[name][1]] * (COUNTS[name][1] is not None), name


def test_families():
    assert [name for family in models.families() for name in models.names(family)] == models.names()
    assert models.names("densenet") == ["densenet_bc_40_12", "densenet_bc_100_12"]
    with pytest.raises(ValueError, match="names: there is no family 'dense'; there are mlp, lenet"):
        models.names("dense")


@pytest.mark.parametrize("name", LIGHT)
def test_output_and_gradients(name):
    """On images that are not square, of two channels, for seven classes."""
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
    np.testing.assert_allclose(y, relu(plain + block.downsample(x)).data, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("vgg", {}, "there is no model 'vgg'; there are mlp, lenet5"),
        ("lenet5", {"image_size": 11}, "lenet5: expected images of at least 12×12"),
        ("small", {"image_size": (32, 7)}, "small: expected images of at least 8×8"),
        ("digits", {"image_size": 3}, "digits: expected images of at least 4×4"),
        ("speed94", {"image_size": 8}, "speed94: expected images of at least 9×9"),
        ("vgg_small", {"image_size": (7, 32)}, "vgg_small: expected images of at least 8×8, got"),
        ("vgg16_bn", {"image_size": 28}, "vgg16_bn: expected images of at least 32×32"),
        ("all_cnn_c", {"image_size": 8}, "all_cnn_c: expected images of at least 9×9"),
        ("densenet_bc_40_12", {"image_size": 3}, "densenet_bc_40_12: expected images of at least 4×4"),
        ("resnet8", {"in_channels": 0}, "expected positive sizes"),
        ("mlp", {"num_classes": 0}, "expected positive sizes"),
        ("mlp", {"image_size": (3, 3, 3)}, "expected image_size to be one or two positive ints"),
    ],
)
def test_what_create_refuses(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        models.create(name, **arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.ResNet(18), "ResNet: expected a depth of 6 n . 2 with n >= 1, got 18"),
        (lambda: models.ResNet(8, shortcut="C"), "BasicBlock: expected shortcut 'A' or 'B', got 'C'"),
        (lambda: models.WideResNet(18, 2), "WideResNet: expected a depth of 6 n . 4 with n >= 1, got 18"),
        (lambda: models.WideResNet(10, 0), "WideResNet: expected a positive width, got 0"),
        (lambda: models.DenseNet(41, 12), "DenseNet: expected a depth of 6 n . 4 with n >= 1, got 41"),
        (lambda: models.DenseNet(40, 0), "DenseNet: expected a positive growth_rate, got 0"),
        (lambda: models.DenseNet(40, 12, compression=1.5), r"DenseNet: expected compression in \(0, 1\], got 1.5"),
        (lambda: models.MobileNetV1(0), "MobileNetV1: expected a positive width, got 0"),
        (lambda: models.MobileNetV2(float("nan")), "MobileNetV2: expected a positive width, got nan"),
        (lambda: models.VGG([]), "VGG: expected at least one convolution in every stage"),
        (lambda: models.VGG([[8], []]), "VGG: expected at least one convolution in every stage"),
        (lambda: models.vgg("vgg12"), "vgg: expected one of vgg_small, vgg11_bn"),
    ],
)
def test_what_constructors_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# the smallest images that each network takes, for batches of one in evaluation
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vgg_small", 8),
        ("all_cnn_c", 9),
        ("resnet8", 1),
        ("resnet8_b", 1),
        ("wrn_10_2", 1),
        ("densenet_bc_40_12", 4),
        ("mobilenet_v1_025", 1),
        ("mobilenet_v2_025", 1),
    ],
)
def test_the_smallest_images(name, size):
    model = models.create(name, 1, 1, size, Generator(0)).eval()
    y = model(Tensor(np.ones((1, 1, size, size), np.float32)))
    assert y.shape == (1, 1)
    assert np.isfinite(y.data).all()


@pytest.mark.parametrize("name", [name for name in LIGHT[4:] if name != "mobile"])
def test_initial_values(name):
    """Convolutions from N(0, 2 / fan_in), as many standard errors away as chance allows; norms 1 and 0; biases 0."""
    model = models.create(name, 10, 3, 32, Generator(2))
    for path, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            values = module.weight.data / np.sqrt(2 / np.prod(module.weight.shape[1:]))
            assert abs(values.mean()) < 5 / np.sqrt(values.size), path
            assert abs(values.var() - 1) < 5 * np.sqrt(2 / values.size), path
            assert module.bias is None or not module.bias.data.any(), path
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight.data == 1).all()
            assert not module.bias.data.any()
        elif isinstance(module, nn.Linear):
            default = name.startswith("resnet")
            assert module.bias.data.any() == default, path
            if name.startswith(("vgg", "mobilenet")):
                assert module.weight.data.std() == pytest.approx(0.01, rel=0.15)
            else:
                assert abs(module.weight.data).max() <= 1 / np.sqrt(module.in_features)


@pytest.mark.parametrize("make", [lambda: models.ResNet(8, zero_init_residual=True), lambda: models.ResNet(8)])
def test_blocks_that_start_as_the_identity(make):
    model = make().eval()
    x = Tensor(np.random.default_rng(0).random((1, 16, 6, 6), np.float32))
    same = np.array_equal(model.layer1(x).data, x.data)
    assert same == (not model.layer1[0].bn2.weight.data.any())


def test_dropout_is_where_the_papers_have_it():
    def places(model):
        return {name: each.p for name, each in model.named_modules() if isinstance(each, nn.Dropout) and each.p > 0}

    assert places(models.create("all_cnn_c")) == {"features.0": 0.2, "features.7": 0.5, "features.14": 0.5}
    wide = {f"layer{i}.0.dropout": 0.3 for i in (1, 2, 3)}
    assert places(models.WideResNet(10, 1, dropout=0.3)) == wide
    dense = {f"features.denseblock{i}.denselayer1.dropout": 0.2 for i in (1, 2, 3)}
    assert places(models.DenseNet(10, 4, dropout=0.2)) == dense
    assert places(models.VGG([[8], [8]], hidden=(4, 4))) == {"classifier.2": 0.5, "classifier.5": 0.5}
    assert places(models.create("mobilenet_v2_025")) == {"classifier.0": 0.2}
    for name in ("mobilenet_v1_025", "resnet8", "wrn_10_2", "vgg_small"):
        assert places(models.create(name)) == {}


@pytest.mark.parametrize(
    ("name", "joined"),
    [
        ("resnet8_b", {"batch_norm_relu": 4, "batch_norm_add_relu": 3}),
        ("wrn_10_2", {"batch_norm_relu": 7}),
        ("densenet_bc_40_12", {"batch_norm_relu": 39}),
        ("mobilenet_v1_025", {"batch_norm_relu": 27}),
        ("mobilenet_v2_025", {"batch_norm_add": 12}),
        ("vgg_small", {"batch_norm_relu": 3, "batch_norm_relu_max_pool2d": 3}),
    ],
)
def test_operations_are_joined(name, joined):
    """Batch norm, sum, ReLU and pooling are one operation wherever the table of pending outputs has a row."""
    model = models.create(name, generator=Generator(0))
    nodes, seen = [model(Tensor(np.zeros((8, 3, 32, 32), np.float32))).grad_fn], {}
    while nodes:
        node = nodes.pop()
        if id(node) not in seen and hasattr(node, "edges"):
            seen[id(node)] = node
            nodes += [edge for edge in node.edges if edge is not None]
    names = [node.name for node in seen.values()]
    assert {each: names.count(each) for each in joined} == joined
    if name != "mobilenet_v2_025":
        assert "relu" not in names


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
