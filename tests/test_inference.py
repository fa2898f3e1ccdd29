"""Compiled networks: the network's results, whatever happens to its weights, or the network itself."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import _C, Tensor, backends, cpu, inference, models, nn, no_grad, train

RNG = np.random.default_rng(7)


def images(*shape: int, dtype: str = "float32") -> Tensor:
    """Random images, channels-last in memory as a loader gives them."""
    n, c, *spatial = shape
    return Tensor(np.moveaxis(RNG.standard_normal((n, *spatial, c)).astype(dtype), -1, 1))


def stirred(model: nn.Module) -> nn.Module:
    """The network with statistics, scales and shifts that are not those of a new one."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            count = module.num_features
            module.running_mean.data[...] = RNG.normal(0, 0.3, count)
            module.running_var.data[...] = RNG.uniform(0.5, 1.5, count)
            if module.affine:
                module.weight.data[...] = RNG.normal(0, 1, count)
                module.bias.data[...] = RNG.normal(0, 1, count)
    return model.eval()


def eager(model: nn.Module, *inputs: Tensor):
    with no_grad():
        return model(*inputs).numpy()


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Relative difference in the L2 norm."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


class Functional(nn.Module):
    """A residual network as its author writes it by hand: functions, in-place sums, a mean for the pooling."""

    def __init__(self) -> None:
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.conv = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.skip = nn.Conv2d(16, 24, 1, stride=2)
        self.down = nn.Conv2d(16, 24, 3, stride=2, padding=1)
        self.norm2 = nn.BatchNorm2d(24)
        self.depth = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.out = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)), inplace=True)
        y = self.conv(x)
        y += x
        y = F.gelu(y)
        z = self.norm2(self.down(y))
        y = (F.relu(z + self.skip(y) * 0.5) - 1) / 3 + 0.25
        y = F.dropout(F.silu(self.depth(y)), 0.5, self.training)
        return F.softmax(self.out(y.mean((2, 3))), dim=1)


NETWORKS = {
    "resnet8": (lambda: models.create("resnet8", 10, 3, 32), (3, 20, 20)),
    "small": (lambda: models.create("small", 10, 3, 32), (3, 32, 32)),
    "mobile": (lambda: models.create("mobile", 10, 3, 32), (3, 16, 16)),
    "speed94": (lambda: models.create("speed94", 10, 3, 32), (3, 32, 32)),
    "digits": (lambda: models.create("digits", 10, 1, 8), (1, 8, 8)),
    "functional": (Functional, (3, 17, 13)),
    "volumes": (
        lambda: nn.Sequential(
            nn.Conv3d(2, 5, 3), nn.BatchNorm3d(5), nn.ELU(), nn.AvgPool3d(2), nn.Flatten(), nn.Linear(40, 3)
        ),
        (2, 6, 6, 6),
    ),
    "sequences": (
        lambda: nn.Sequential(nn.Conv1d(3, 6, 5, dilation=2), nn.BatchNorm1d(6), nn.ReLU6(), nn.AdaptiveMaxPool1d(2)),
        (3, 21),
    ),
    "norm first": (lambda: nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 2)), (3, 6, 6)),
}
UNFOLDED = {
    "lenet5": (lambda: models.create("lenet5", 10, 1, 28), (1, 28, 28)),
    "vectors": (lambda: nn.Sequential(nn.Linear(7, 9), nn.GELU(), nn.Linear(9, 3), nn.LogSoftmax(1)), (7,)),
    "branches": (lambda: Branches(), (4, 9, 9)),
}


class Branches(nn.Module):
    """Joined and padded branches, a view that is a part, and arithmetic; flattening keeps the bits in order."""

    def __init__(self) -> None:
        self.a = nn.Conv2d(4, 6, 3, padding=1)
        self.b = nn.Conv2d(4, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.a(x), self.b(x)
        joined = fastnn.cat([a * b, a - b, F.pad(x, (0, 0, 0, 0, 1, 1), value=2.0)], 1)
        return F.softmax(F.max_pool2d(joined[:, :, 1:, ::2], 2), 1).flatten(1)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", [*NETWORKS, *UNFOLDED])
def test_results_are_those_of_the_network(name, batch):
    make, shape = (NETWORKS | UNFOLDED)[name]
    model, x = stirred(make()), images(batch, *shape)
    compiled = inference.compile(model, x)
    assert compiled.reason(x) is None
    expected = eager(model, x)
    got = compiled(x).numpy()
    assert got.shape == expected.shape
    # Folding rounds each filter once more: a few units in the last place of what each layer passes on.
    assert distance(got, expected) < 2e-6


@pytest.mark.parametrize("name", ["vectors", "branches"])
def test_without_folding_the_bits_are_those_of_the_network(name):
    make, shape = UNFOLDED[name]
    model, x = make().eval(), images(3, *shape)
    compiled = inference.compile(model, x)
    assert compiled.reason(x) is None
    assert np.array_equal(compiled(x).numpy(), eager(model, x))


def test_float64_is_computed_in_float64():
    model, x = stirred(models.create("resnet8", 10, 3, 16)).double(), images(2, 3, 16, 16, dtype="float64")
    compiled = inference.compile(model, x)
    assert compiled.reason(x) is None
    assert distance(compiled(x).numpy(), eager(model, x)) < 1e-14


def test_what_follows_a_convolution_is_part_of_its_step():
    model = stirred(models.create("resnet8", 10, 3, 16))
    x = images(1, 3, 16, 16)
    steps = inference.compile(model).steps(x)
    assert [line.split()[0] for line in steps if not line.startswith(("fill", "copy"))] == ["conv"] * 7 + [
        "pool",
        "conv",
    ]
    assert sum("norm residual relu" in line for line in steps) == 3
    flattened = inference.compile(stirred(models.create("small", 10, 3, 8))).steps(images(1, 3, 8, 8))
    assert [line.split()[0] for line in flattened] == ["conv", "pool"] * 3 + ["conv"]


@pytest.mark.parametrize("threads", [2, 3])
def test_bits_are_the_same_on_any_number_of_threads(threads):
    model, x = stirred(models.create("resnet8", 10, 3, 32)), images(2, 3, 32, 32)
    compiled, before = inference.compile(model), cpu.get_num_threads()
    cpu.set_num_threads(1)
    one = compiled(x).numpy()
    cpu.set_num_threads(threads)
    several = compiled(x).numpy()
    cpu.set_num_threads(before)
    assert np.array_equal(one, several)


def test_every_level_and_algorithm_has_a_program_of_its_own():
    model, x = stirred(models.create("resnet8", 10, 3, 16)), images(2, 3, 16, 16)
    compiled, expected = inference.compile(model), eager(model, x)
    before = cpu.level()
    for level in cpu.levels():
        cpu.set_level(level)
        for algorithm in ("auto", "direct", "im2col"):
            backends.conv.algorithm = algorithm
            assert distance(compiled(x).numpy(), expected) < 2e-6
    backends.conv.algorithm = "auto"
    cpu.set_level(before)


# Changes


def test_results_follow_the_weights():
    model, x = stirred(models.create("digits", 10, 1, 8)), images(2, 1, 8, 8)
    compiled = inference.compile(model, x)
    first = compiled(x).numpy()
    optimizer = fastnn.optim.SGD(model.parameters(), lr=0.1)
    model.train()
    F.cross_entropy(model(x), Tensor(np.array([1, 2]))).backward()
    optimizer.step()
    model.eval()
    second = compiled(x).numpy()
    assert distance(second, first) > 1e-3
    assert distance(second, eager(model, x)) < 2e-6


def test_results_follow_running_statistics_alone():
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), images(2, 3, 8, 8)
    compiled = inference.compile(model, x)
    model.train()
    with no_grad():
        model(x * 3 + 1)
    model.eval()
    assert distance(compiled(x).numpy(), eager(model, x)) < 2e-6


def test_results_follow_a_loaded_state():
    model, other = (stirred(models.create("resnet8", 10, 3, 16)) for _ in range(2))
    x = images(2, 3, 16, 16)
    compiled = inference.compile(model, x)
    model.load_state_dict(other.state_dict())
    assert distance(compiled(x).numpy(), eager(other, x)) < 2e-6


def test_results_follow_replaced_parts():
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), images(2, 3, 8, 8)
    compiled = inference.compile(model, x)
    model[0].weight = nn.Parameter(RNG.standard_normal((4, 3, 3, 3)).astype(np.float32))
    assert np.array_equal(compiled(x).numpy(), eager(model, x))
    model[1] = nn.Tanh()
    assert np.array_equal(compiled(x).numpy(), eager(model, x))
    model[0].weight.data = model[0].weight.data * 2
    assert np.array_equal(compiled(x).numpy(), eager(model, x))


def test_any_shape_and_layout_may_come():
    model = stirred(models.create("resnet8", 10, 3, 16))
    compiled = inference.compile(model)
    for shape in ((1, 3, 16, 16), (5, 3, 16, 16), (2, 3, 9, 7)):
        x = images(*shape)
        planar = Tensor(np.ascontiguousarray(x.data))
        assert distance(compiled(x).numpy(), eager(model, x)) < 2e-6
        assert np.array_equal(compiled(planar).numpy(), compiled(x).numpy())
    for n in range(1, 20):
        assert compiled(images(n, 3, 4, 4)).shape == (n, 10)


def test_training_mode_is_left_alone_and_evaluation_mode_computed():
    model, x = models.create("digits", 10, 1, 8), images(4, 1, 8, 8)
    model.train()
    got = inference.compile(model)(x)
    assert all(module.training for module in model.modules())
    assert not got.requires_grad
    assert distance(got.numpy(), eager(model.eval(), x)) < 2e-6


def test_results_are_never_overwritten():
    model = stirred(models.create("digits", 10, 1, 8))
    compiled, x = inference.compile(model), images(2, 1, 8, 8)
    first = compiled(x)
    kept = first.numpy().copy()
    for _ in range(5):
        assert not np.shares_memory(compiled(images(2, 1, 8, 8)).data, first.data)
    assert np.array_equal(first.numpy(), kept)


def test_an_output_that_is_the_input_is_a_copy():
    class Both(nn.Module):
        def forward(self, x: Tensor):
            return {"same": x, "parts": (F.relu(x), x[:, 1:])}

    x = images(2, 3, 4, 4)
    compiled = inference.compile(Both(), x)
    assert compiled.reason(x) is None
    got = compiled(x)
    assert not np.shares_memory(got["same"].data, x.data)
    assert np.array_equal(got["same"].numpy(), x.numpy())
    assert np.array_equal(got["parts"][0].numpy(), np.maximum(x.numpy(), 0))
    assert np.array_equal(got["parts"][1].numpy(), x.numpy()[:, 1:])


def test_several_inputs():
    class Two(nn.Module):
        def __init__(self) -> None:
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.conv(x) + y

    model, x, y = Two().eval(), images(2, 3, 5, 5), images(2, 4, 5, 5)
    compiled = inference.compile(model, x, y)
    assert compiled.reason(x, y) is None
    assert np.array_equal(compiled(x, y).numpy(), eager(model, x, y))


def test_threads_share_a_compiled_network():
    model = stirred(models.create("digits", 10, 1, 8))
    compiled, batches = inference.compile(model), [images(n, 1, 8, 8) for n in (1, 2, 3, 4)]
    expected, failures = [eager(model, x) for x in batches], []

    def work() -> None:
        for _ in range(20):
            for x, wanted in zip(batches, expected, strict=True):
                if not distance(compiled(x).numpy(), wanted) < 2e-6:
                    failures.append(x.shape)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []


# What cannot be compiled


class Lambda(nn.Module):
    def __init__(self, function) -> None:
        self.conv = nn.Conv2d(3, 4, 3)
        self.scale = nn.Parameter(np.ones((2, 4, 4, 4), np.float32))
        self.function = function

    def forward(self, x: Tensor):
        return self.function(self, x)


def _changes_memory(self: Lambda, x: Tensor) -> Tensor:
    y = self.conv(x)
    y[:, 0] = 1.0
    return F.relu(y)


def _branches(self: Lambda, x: Tensor) -> Tensor:
    y = self.conv(x)
    return F.relu(y) if x.data.mean() > 0 else F.tanh(y)


REASONS = {
    "no step": (lambda self, x: F.group_norm(self.conv(x), 2), "there is no step for 'group_norm'"),
    "changed in place": (_changes_memory, "the result of 'conv2d' was changed in place"),
    "values decide": (_branches, "depends on the values"),
    "a sum decides": (
        lambda self, x: self.conv(x) if x.mean((2, 3)).max().item() > -9 else x,
        "the result of 'max' is not used, or decides",
    ),
    "leaves the operations": (
        lambda self, x: F.relu(Tensor(np.sin(self.conv(x).data))),
        "an operand of 'relu' is neither",
    ),
    "random": (lambda self, x: F.dropout(self.conv(x), 0.5, True), "there is no step for 'dropout'"),
    "parameter": (lambda self, x: self.conv(x) * self.scale, "'mul' computes with a parameter"),
    "computed weight": (lambda self, x: F.conv2d(x, F.tanh(self.conv.weight)), "a parameter"),
    "scalar": (lambda self, x: 2 / self.conv(x), "'div' of a number"),
    "outcome": (lambda self, x: str(self.conv(x).shape), "returns str"),
}


@pytest.mark.parametrize("name", REASONS)
def test_a_network_that_cannot_be_compiled_is_called_as_it_is(name):
    function, reason = REASONS[name]
    model, x = Lambda(function).eval(), images(2, 3, 6, 6)
    compiled = inference.compile(model)
    fastnn.manual_seed(1)
    got = compiled(x)
    assert reason in compiled.reason(x)
    assert compiled.steps(x) == []
    fastnn.manual_seed(1)
    compiled(x)
    if name == "random":
        return
    with no_grad():
        expected = model(x)
    assert got == expected if isinstance(got, str) else np.array_equal(got.numpy(), expected.numpy())


def test_integers_and_values_that_a_network_refuses_are_left_to_it():
    table = nn.Parameter(RNG.standard_normal((5, 3)).astype(np.float32))

    class Lookup(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return table[x]

    chosen = Tensor(np.array([1, 4, 2]))
    compiled = inference.compile(Lookup())
    assert np.array_equal(compiled(chosen).numpy(), table.data[[1, 4, 2]])
    assert "inputs of int64" in compiled.reason(chosen)

    class Positive(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.data.min() < 0:
                raise ArithmeticError
            return F.relu(x)

    x = fastnn.ones(2, 3)
    compiled = inference.compile(Positive())
    assert np.array_equal(compiled(x).numpy(), x.numpy())
    assert "depends on the values" in compiled.reason(x)


def test_evaluation_takes_a_compiled_network():
    model, x = stirred(models.create("digits", 10, 1, 8)), images(6, 1, 8, 8)
    loader = [(x, Tensor(np.arange(6)))]
    loss = nn.CrossEntropyLoss()
    plain = train.evaluate(model, loader, loss)
    compiled = train.evaluate(inference.compile(model), loader, loss)
    assert compiled["accuracy"] == plain["accuracy"]
    assert compiled["loss"] == pytest.approx(plain["loss"], rel=1e-5)
    assert distance(train.predict(inference.compile(model), x), train.predict(model, x)) < 2e-6


def test_batch_statistics_and_hooks_are_left_to_the_network():
    x = images(4, 3, 6, 6)
    untracked = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    assert "statistics of the batch" in inference.compile(untracked).reason(x)
    hooked = nn.Sequential(nn.Conv2d(3, 4, 3))
    seen = []
    hooked[0].register_forward_hook(lambda module, args, output: seen.append(output.shape))
    compiled = inference.compile(hooked)
    assert compiled.reason(x) == "modules have hooks"
    compiled(x)
    assert seen == [(4, 4, 4, 4)]


def test_an_error_of_the_network_is_its_own():
    compiled = inference.compile(nn.Conv2d(3, 4, 3))
    with pytest.raises(ValueError, match="conv2d: expected input with 3 channels"):
        compiled(images(1, 2, 6, 6))
    with pytest.raises(TypeError):
        compiled()


def test_empty_batches_and_arrays_with_gaps_are_left_to_the_network():
    model = models.create("digits", 10, 1, 8).eval()
    compiled = inference.compile(model)
    assert compiled(Tensor(np.zeros((0, 1, 8, 8), np.float32))).shape == (0, 10)
    x = images(4, 1, 8, 8)
    assert np.array_equal(compiled(x[::2]).numpy(), eager(model, x[::2]))


# The binding


def program(memory: int = 64) -> _C.Program:
    """Slots: memory, an input of 16 floats, an output of 16 floats, a constant of 4 floats."""
    return _C.Program(np.float32, 2, memory, (64,), (64,), (np.ones(4, np.float32),))


GEOMETRY = ((1, 1, 1), (0, 0, 0), (1, 1, 1), 1, 0)


@pytest.mark.parametrize(
    "add",
    [
        lambda p: p.activation(0, (1, 0), (2, 0), 17),
        lambda p: p.activation(0, (1, 0), (2, 4), 16),
        lambda p: p.activation(0, (1, -4), (2, 0), 4),
        lambda p: p.activation(0, (1, 2), (2, 0), 4),
        lambda p: p.activation(0, (4, 0), (2, 0), 4),
        lambda p: p.activation(0, (1, 0), (1, 0), 4),
        lambda p: p.activation(0, (1, 0), (3, 0), 4),
        lambda p: p.activation(0, None, (2, 0), 4),
        lambda p: p.activation(99, (1, 0), (2, 0), 4),
        lambda p: p.binary(0, (1, 0), (3, 0), (2, 0), 8),
        lambda p: p.binary(9, (1, 0), (1, 0), (2, 0), 8),
        lambda p: p.binary(0, (1, 0), None, (2, 0), 8),
        lambda p: p.copy((1, 0), (2, 0), (4, 4), (5, 1), (4, 1)),
        lambda p: p.copy((1, 0), (2, 0), (4, 4), (4, 1), (4, 2)),
        lambda p: p.copy((1, 0), (2, 0), (4,), (-1,), (1,)),
        lambda p: p.copy((1, 0), (2, 0), (1,) * 7, (1,) * 7, (1,) * 7),
        lambda p: p.fill((2, 0), 17, 0.0),
        lambda p: p.softmax(False, (1, 0), (2, 0), 2, 2, 5),
        lambda p: p.norm((1, 0), (2, 0), 4, 4, (3, 0), (3, 0)),
        lambda p: p.norm((1, 0), (2, 0), 8, 2, (3, 0), (3, 0), (3, 12)),
        lambda p: p.pool(True, (1, 0), (1, 4, 5, 1), (2, 0), (1, 2, 2, 1), ((2, 2), (2, 2), (0, 0), (1, 1))),
        lambda p: p.conv((1, 0), (1, 1, 4, 4, 1), (3, 0), (1, 1, 1, 3, 3), (2, 0), (1, 1, 2, 2, 1), *GEOMETRY),
        lambda p: p.conv((1, 0), (1, 1, 4, 5, 1), (3, 0), (1, 1, 1, 2, 2), (2, 0), (1, 1, 3, 4, 1), *GEOMETRY),
        lambda p: p.conv((1, 0), (1, 1, 4, 4, 1), None, (1, 1, 1, 2, 2), (2, 0), (1, 1, 3, 3, 1), *GEOMETRY),
        lambda p: p.conv(
            (1, 0), (1, 1, 4, 4, 1), (3, 0), (1, 1, 1, 2, 2), (2, 0), (1, 1, 3, 3, 1), *GEOMETRY, None, None, (3, 0)
        ),
        lambda p: p.conv(
            (1, 0), (1, 1, 4, 4, 1), None, (1, 1, 1, 3, 3), (2, 0), (1, 1, 2, 2, 1), *GEOMETRY, (3, 0)
        ),
    ],
)  # fmt: skip
def test_a_step_outside_its_memory_is_refused(add):
    made = program()
    with pytest.raises(ValueError, match=r"Program|activation|softmax|pool|conv"):
        add(made)
    assert len(made) == 0


def test_a_program_runs_its_steps_on_arrays_that_fit():
    made = program()
    made.activation(_C.ACTIVATIONS["relu"], (1, 0), (0, 0), 16)
    made.binary(_C.BINARIES["add"], (0, 0), (1, 0), (2, 0), 16)
    with pytest.raises(ValueError, match="at most 2 steps"):
        made.fill((2, 0), 1, 0.0)
    x, y = RNG.standard_normal(16).astype(np.float32), np.empty((4, 4), np.float32)
    made.run((x, y))
    assert np.array_equal(y.reshape(-1), np.maximum(x, 0) + x)
    read_only = y.copy()
    read_only.flags.writeable = False
    for arrays in ((x,), (x[:8], y), (x.astype(np.float64), y), (x, read_only), (np.repeat(x, 2)[::2], y)):
        with pytest.raises(ValueError, match="Program"):
            made.run(arrays)
