"""Transfer learning: what is frozen, what it costs, the new head, features, rates by depth, unfreezing, resuming."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import fastnn
from fastnn import Tensor, data, models, nn, optim, transfer
from fastnn.optim.flat import FlatOptimizer
from fastnn.profiler import profile
from fastnn.train import Trainer, WeightAverage, predict, update_bn
from fastnn.train.build import make_optimizer
from fastnn.train.config import Config
from fastnn.train.defaults import OPTIMIZERS

RNG = np.random.default_rng(0)
IMAGES = data.ArrayDataset(RNG.integers(0, 256, (24, 8, 8, 3), np.uint8), RNG.integers(0, 3, 24), ["a", "b", "c"])


def resnet(classes: int = 3) -> nn.Module:
    fastnn.manual_seed(1)
    return models.create("resnet8", classes, 3, 8)


def values(model: nn.Module) -> dict[str, Any]:
    return {name: np.array(tensor.data) for name, tensor in model.state_dict().items()}


def changed(before: dict[str, Any], model: nn.Module) -> set[str]:
    return {name for name, value in values(model).items() if not np.array_equal(value, before[name])}


def trained(model: nn.Module) -> list[str]:
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


# The parts of a network


def test_every_parameter_is_in_one_stage_and_one_layer() -> None:
    some = (
        "mlp", "lenet5", "small", "vgg_small", "all_cnn_c", "resnet20_b", "wrn_10_2", "densenet_bc_40_12", "mobile",
        "mobilenet_v1_025", "mobilenet_v2_025", "speed94",
    )  # fmt: skip
    for name in some:
        model = models.create(name, 10, 3, 32)
        for split in (transfer.stages, transfer.layers):
            found = [p for part in split(model) for p in part.named_parameters()]
            assert sorted(n for n, _ in found) == sorted(n for n, _ in model.named_parameters()), (name, split)
            assert all(model.get_parameter(n) is p for n, p in found)
        assert len(transfer.stages(model)) >= 3


def test_norms_belong_to_what_stands_before_them() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2, affine=False),
        nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    assert [part.name for part in transfer.stages(model)] == ["0", "3", "6"]
    assert [[n for n, _ in part.modules] for part in transfer.layers(model)] == [["0", "1"], ["3", "4"], ["6"]]


def test_wrapped_networks_and_parameters_of_their_own() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            self.features = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
            self.classifier = nn.Linear(4, 2)
            self.scale = nn.Parameter(np.ones((), np.float32))

    model = Wrapped()
    for split in (transfer.stages, transfer.layers):
        parts = split(model)
        assert [part.name for part in parts] == ["features.0", "features.2", "classifier"]
        assert parts[-1].named_parameters()[-1][0] == "scale"
    with pytest.raises(ValueError, match="expected a network with parameters"):
        transfer.stages(nn.ReLU())
    with pytest.raises(ValueError, match="'stage' or 'layer'"):
        transfer.freeze(model, first=1, by="block")  # type: ignore[arg-type]


# Freezing


def test_names_patterns_and_depths() -> None:
    model = resnet()
    assert transfer.freeze(model, "layer1", "conv*") == [
        n for n, _ in model.named_parameters() if n.startswith(("layer1.", "conv1."))
    ]
    assert transfer.freeze(model, "layer1") == []
    assert transfer.unfreeze(model) == [n for n, _ in model.named_parameters() if n.startswith(("layer1.", "conv1."))]
    transfer.freeze(model, "*.bias")
    assert not any(n.endswith("bias") and "." in n for n in trained(model))
    transfer.unfreeze(model)
    transfer.freeze(model, first=-1)
    assert trained(model) == ["fc.weight", "fc.bias"]
    transfer.unfreeze(model, last=2)
    assert all(n.startswith(("layer3", "fc")) for n in trained(model))
    transfer.unfreeze(model)
    assert transfer.freeze(model, first=2, by="layer") == [
        "conv1.weight", "bn1.weight", "bn1.bias",
        "layer1.0.conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias",
    ]  # fmt: skip
    assert transfer.freeze(model, first=0) == transfer.unfreeze(model, last=0) == []
    with pytest.raises(ValueError, match=r"freeze: 'layer9' is no parameter .* conv1, bn1, layer1, layer2, layer3, fc"):
        transfer.freeze(model, "layer1", "layer9")
    with pytest.raises(ValueError, match="got both"):
        transfer.unfreeze(model, "fc", last=1)


def test_frozen_norms_stay_in_evaluation_mode() -> None:
    model = resnet()
    transfer.freeze(model, first=3)
    assert not model.bn1.training
    model.train()
    assert [norm.training for norm in (model.bn1, model.layer2[0].bn2, model.layer3[0].bn1)] == [False, False, True]
    assert model.layer1.training
    copy.deepcopy(model).train()
    transfer.unfreeze(model, "layer2")
    assert not model.layer2[0].bn1.training
    model.train()
    assert model.layer2[0].bn1.training
    # Only all of a norm holds it, and only if that is wanted.
    transfer.freeze(model, "layer3.0.bn1.bias")
    transfer.freeze(model, "layer2", norms=False)
    transfer.unfreeze(model, "fc")
    model.train()
    assert model.layer3[0].bn1.training
    assert model.layer2[0].bn1.training


def test_norms_without_parameters_go_with_the_layer_before() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, affine=False), nn.Flatten(), nn.Linear(8, 2))
    transfer.freeze(model, first=1)
    assert [module.training for module in model.train()] == [True, False, True, True]
    transfer.unfreeze(model, "0")
    assert model.train()[1].training


def test_averages_leave_the_statistics_of_frozen_norms_alone() -> None:
    model = resnet()
    model.bn1.running_mean.data[...] = 0.25
    transfer.freeze(model, first=2)
    before = values(model)
    loader = data.DataLoader(IMAGES, 8)
    update_bn(loader, model)
    assert changed(before, model) == {n for n in before if n.startswith(("layer2", "layer3")) and (
        "running" in n or "batches" in n)}  # fmt: skip
    trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), callbacks=[WeightAverage()])
    trainer.fit(loader, epochs=1)
    assert not any(n.startswith(("conv1", "bn1", "layer1")) for n in changed(before, model))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_leaves_what_is_frozen_alone(name: str) -> None:
    model = resnet()
    transfer.freeze(model, first=-1)
    before = values(model)
    config = Config.create("digits", optimizer=name, weight_decay=0.1)
    optimizer = make_optimizer(config, model)
    Trainer(model, optimizer, nn.CrossEntropyLoss()).fit(data.DataLoader(IMAGES, 8), epochs=1)
    assert changed(before, model) == {"fc.weight", "fc.bias"}
    assert all(parameter.shape in ((3, 64), (3,)) for parameter in optimizer.state)


@pytest.mark.parametrize("kind", [optim.LBFGS, optim.BFGS])
def test_methods_of_one_vector_leave_what_is_frozen_alone(kind: type[FlatOptimizer]) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    transfer.freeze(model, "0")
    before = values(model)
    optimizer = kind(model.parameters())
    x, y = Tensor(RNG.standard_normal((8, 4)).astype(np.float32)), Tensor(RNG.integers(0, 2, 8))

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert changed(before, model) == {"2.weight", "2.bias"}


def test_a_frozen_beginning_costs_no_backward_pass() -> None:
    """No operation runs backwards that leads to frozen parameters alone."""
    x, y = Tensor(RNG.standard_normal((4, 3, 8, 8)).astype(np.float32)), Tensor(RNG.integers(0, 3, 4))

    def backwards(**frozen: Any) -> dict[str, int]:
        model = resnet()
        if frozen:
            transfer.freeze(model, **frozen)
        with profile() as prof:
            nn.CrossEntropyLoss()(model.train()(x), y).backward()
        assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
        return {each.name: each.backward.calls for each in prof.report().operations}

    whole, head, last = backwards(), backwards(first=-1), backwards(first=3)
    assert whole["conv2d"] == 7
    assert {name for name, calls in head.items() if calls} == {"cross_entropy", "linear"}
    assert last["conv2d"] == 2


# The head


def test_the_new_head() -> None:
    model = resnet(10)
    transfer.freeze(model)
    before = values(model)
    head = transfer.replace_head(model, 4, generator=fastnn.Generator(3))
    again = nn.Linear(64, 4, generator=fastnn.Generator(3))
    assert model.fc is head
    assert np.array_equal(head.weight.data, again.weight.data)
    assert trained(model) == ["fc.weight", "fc.bias"]
    assert {
        n for n, v in values(model).items() if n not in ("fc.weight", "fc.bias") and (v != before[n]).any()
    } == set()
    assert model(fastnn.zeros(2, 3, 8, 8)).shape == (2, 4)
    transfer.replace_head(model, 2, init="zeros")
    assert not model(fastnn.ones(2, 3, 8, 8)).data.any()
    assert transfer.find_head(models.create("lenet5", 10, 1, 28))[0] == "11"


def test_heads_of_convolutions_lists_and_dicts() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 7, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = transfer.replace_head(model.double(), 5)
    assert (head.weight.shape, head.weight.dtype, head.bias) == ((5, 4, 1, 1), np.float64, None)
    assert model(fastnn.zeros(2, 3, 8, 8, dtype=fastnn.float64)).shape == (2, 5)

    class Listed(nn.Module):
        def __init__(self) -> None:
            self.parts: Any = {"body": [nn.Linear(3, 4)], "heads": [nn.ReLU(), nn.Linear(4, 2)]}

    listed = Listed()
    assert transfer.replace_head(listed, 6) is listed.parts["heads"][1]
    for wrong in (nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Linear(3, 4)):
        with pytest.raises(ValueError, match="find_head: expected a network with"):
            transfer.replace_head(wrong, 2)
    with pytest.raises(ValueError, match="num_classes >= 1"):
        transfer.replace_head(listed, 0)


# Features


def test_features_and_classifier_are_the_network() -> None:
    model = resnet().eval()
    model.train()
    before, modes = values(model), [m.training for m in model.modules()]
    features = transfer.extract_features(model, IMAGES, batch_size=10)
    assert changed(before, model) == set()
    assert [m.training for m in model.modules()] == modes
    outputs = predict(model, data.DataLoader(IMAGES, 10))
    x, y = features.tensors
    assert np.array_equal(y, IMAGES.labels)
    np.testing.assert_allclose(x @ model.fc.weight.data.T + model.fc.bias.data, outputs, atol=1e-5)


def test_the_classifier_is_sklearns() -> None:
    x = RNG.standard_normal((90, 5)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64) + (x[:, 1] + 0.5 * RNG.standard_normal(90) > 0.5)
    l2 = 0.01
    ours = transfer.fit_linear(data.TensorDataset(x, y), 3, l2=l2)
    theirs = LogisticRegression(C=1 / (len(x) * l2), tol=1e-10, max_iter=5000).fit(x.astype(np.float64), y)
    np.testing.assert_allclose(ours.weight.data, theirs.coef_, atol=1e-4)
    # The bias is determined up to what all classes share.
    np.testing.assert_allclose(
        ours.bias.data - ours.bias.data.mean(), theirs.intercept_ - theirs.intercept_.mean(), atol=1e-4
    )
    steps = transfer.fit_linear(
        data.TensorDataset(x, y), 3, l2=l2, optimizer=lambda p: optim.Adam(p, 0.05), epochs=300, batch_size=90
    )
    np.testing.assert_allclose(steps.weight.data, ours.weight.data, atol=0.02)


@pytest.mark.parametrize("last", ["linear", "convolution"])
def test_fit_head_puts_the_model_together_again(last: str) -> None:
    fastnn.manual_seed(2)
    body = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    if last == "linear":
        model = nn.Sequential(*body, nn.Flatten(), nn.Linear(128, 3))
    else:
        model = nn.Sequential(*body, nn.Conv2d(8, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    digits, held_out = data.Digits(), data.Digits(train=False)
    before = values(model)
    transfer.fit_head(model, digits, 10, l2=1e-4)
    assert np.array_equal(values(model)["0.weight"], before["0.weight"])
    features = transfer.extract_features(model, held_out)
    classifier = transfer.fit_linear(transfer.extract_features(model, digits), 10, l2=1e-4)
    outputs = predict(model, data.DataLoader(held_out, 100))
    np.testing.assert_allclose(outputs, predict(classifier, Tensor(features.tensors[0])), atol=1e-3)
    assert (outputs.argmax(1) == held_out.labels).mean() > (0.9 if last == "linear" else 0.5)


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.zeros((2, 3, 4)), np.zeros(2, int), {}, r"expected floating features \(N, D\)"),
        (np.zeros((2, 3)), np.array([0, 2]), {}, "expected labels from 0 to 1, got 0 to 2"),
        (np.zeros((2, 3)), np.array([0, 1]), {"l2": -1.0}, "l2 >= 0"),
    ],
)
def test_features_that_do_not_fit(x: Any, y: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transfer.fit_linear(data.TensorDataset(x, y), 2, **options)


def test_a_head_that_is_called_twice_has_no_features() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.head(self.body(x)))

    rows = data.TensorDataset(np.zeros((4, 3), np.float32), np.zeros(4, np.int64))
    with pytest.raises(ValueError, match="call 'head' once for a batch"):
        transfer.extract_features(Twice(), rows)


# Rates by depth, and unfreezing


def test_rates_decay_by_the_factor_and_stay_in_ratio() -> None:
    model = resnet()
    groups = transfer.parameter_groups(model, 0.1, 2.6, weight_decay=0.01)
    np.testing.assert_allclose([g["lr"] for g in groups], [0.1 / 2.6**i for i in range(5)])
    assert [g["name"] for g in groups] == ["fc", "layer3", "layer2", "layer1", "conv1"]
    optimizer = optim.SGD(groups, 0.1, momentum=0.9)
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(model.parameters()))
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, [g["lr"] for g in groups], 10, cycle_momentum=False)
    for _ in range(4):
        optimizer.step()
        schedule.step()
    rates = [g["lr"] for g in optimizer.param_groups]
    np.testing.assert_allclose([a / b for a, b in pairwise(rates)], 2.6)
    by_step = transfer.parameter_groups(model, lambda step: 1.0 / (1 + step), 2.0, by="layer")
    assert len(by_step) == 8
    assert by_step[2]["lr"](3) == 1 / 16
    with pytest.raises(ValueError, match="factor >= 1"):
        transfer.parameter_groups(model, 0.1, 0.5)


def gradual(seed: int, optimizer: str) -> tuple[Trainer, Any]:
    model = resnet()
    groups = transfer.parameter_groups(model, 0.05 if optimizer == "SGD" else 0.001, 1.5)
    rates = [group["lr"] for group in groups]
    method = optim.SGD(groups, 0.05, momentum=0.9) if optimizer == "SGD" else optim.AdamW(groups, 0.001)
    schedule = optim.lr_scheduler.OneCycleLR(method, rates, 27, cycle_momentum=False)
    callbacks = [transfer.GradualUnfreezing(every=2)]
    trainer = Trainer(model, method, nn.CrossEntropyLoss(), schedule, callbacks, schedule_every="step")
    return trainer, data.DataLoader(IMAGES, 8, shuffle=True, seed=seed)


def test_one_stage_more_every_k_epochs() -> None:
    trainer, loader = gradual(0, "SGD")
    expected = [{"fc"}, {"fc"}, {"fc", "layer3"}, {"fc", "layer3"}, {"fc", "layer3", "layer2"}]
    for epoch, names in enumerate(expected, 1):
        before = values(trainer.model)
        trainer.fit(loader, epochs=epoch)
        assert {name.split(".")[0] for name in changed(before, trainer.model)} == names
    trainer.fit(loader, epochs=9)
    assert len(trained(trainer.model)) == len(list(trainer.model.parameters()))
    assert trainer.model.train().bn1.training


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
@pytest.mark.parametrize("stop", [1, 4, 5])
def test_gradual_unfreezing_resumes_to_the_same_bits(optimizer: str, stop: int, tmp_path: Any) -> None:
    whole, loader = gradual(0, optimizer)
    whole.fit(loader, epochs=8)
    first, loader = gradual(0, optimizer)
    first.fit(loader, epochs=stop)
    fastnn.save(first.state_dict(), tmp_path / "state.safetensors")
    second, loader = gradual(7, optimizer)
    second.load_state_dict(fastnn.load(tmp_path / "state.safetensors"))
    second.fit(loader, epochs=8)
    assert changed(values(whole.model), second.model) == set()


def test_gradual_unfreezing_wants_an_optimiser_of_all() -> None:
    model = resnet()
    trainer = Trainer(
        model, optim.SGD(model.fc.parameters(), 0.1), nn.CrossEntropyLoss(), callbacks=[transfer.GradualUnfreezing()]
    )
    with pytest.raises(ValueError, match=r"expected an optimizer of all parameters, it lacks conv1\.weight"):
        trainer.fit(data.DataLoader(IMAGES, 8), epochs=1)
    with pytest.raises(ValueError, match="every and start >= 1"):
        transfer.GradualUnfreezing(every=0)


# Loading


def test_a_file_comes_before_a_network_of_the_zoo(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = models.create("digits", 10, 1, 8)
    fastnn.save(ours.state_dict(), tmp_path / "digits")
    found = models.create("digits", 10, 1, 8)
    transfer.load_backbone(found, "digits")
    zoo = models.zoo.load("digits").state_dict()
    assert all(np.array_equal(tensor.data, zoo[name].data) for name, tensor in found.state_dict().items())
    monkeypatch.chdir(tmp_path)
    transfer.load_backbone(found, "digits")
    own = ours.state_dict()
    assert all(np.array_equal(tensor.data, own[name].data) for name, tensor in found.state_dict().items())


def test_a_backbone_without_its_head(tmp_path: Any) -> None:
    ten, five = resnet(10), models.create("resnet8", 5, 3, 8)
    fastnn.save(ten.state_dict(), tmp_path / "ten.safetensors")
    head = values(five.fc)
    keys = transfer.load_backbone(five, tmp_path / "ten.safetensors")
    assert keys == ([], [], ["fc.weight", "fc.bias"])
    assert changed({f"fc.{n}": v for n, v in head.items()} | {
        n: v for n, v in values(ten).items() if not n.startswith("fc")}, five) == set()  # fmt: skip
    other = models.create("resnet8", 10, 3, 8)
    assert transfer.load_backbone(other, tmp_path / "ten.safetensors").skipped_keys == []
    assert changed(values(ten), other) == set()
    third = models.create("resnet8", 10, 3, 8)
    assert transfer.load_backbone(third, ten.state_dict(), head=False).skipped_keys == ["fc.weight", "fc.bias"]
    assert changed(values(ten), third) == {"fc.weight", "fc.bias"}


def test_what_differs_is_named_at_once() -> None:
    five = models.create("resnet8", 5, 3, 8)
    state = {name: value for name, value in resnet(10).state_dict().items() if name != "bn1.bias"}
    state["extra"] = fastnn.zeros(2)
    state["conv1.weight"] = fastnn.zeros(2)
    before = values(five)
    with pytest.raises(
        ValueError, match=r"missing keys: bn1\.bias\n.*unexpected keys: extra\n.*'conv1\.weight' has shape"
    ):
        transfer.load_backbone(five, state)
    assert changed(before, five) == set()
    del state["conv1.weight"]
    keys = transfer.load_backbone(five, state, strict=False)
    assert keys.missing_keys == ["conv1.weight", "bn1.bias"]
    assert keys.unexpected_keys == ["extra"]
    assert keys.skipped_keys == ["fc.weight", "fc.bias"]


def test_the_prefix_of_a_wrapper_is_dropped_only_where_it_is_one() -> None:
    model = nn.Linear(2, 2)
    state = {f"module.{name}": Tensor(tensor.data + 1) for name, tensor in model.state_dict().items()}
    expected = model.weight.data + 1
    model.load_state_dict(state)
    assert np.array_equal(model.weight.data, expected)
    with pytest.raises(ValueError, match=r"missing keys: bias\n  unexpected keys: module\.bias"):
        model.load_state_dict({"weight": model.weight, "module.bias": model.bias})

    class Wrapper(nn.Module):
        def __init__(self) -> None:
            self.module = nn.Linear(2, 2)

    wrapper = Wrapper()
    wrapper.load_state_dict(state)
    assert np.array_equal(wrapper.module.weight.data, expected)
