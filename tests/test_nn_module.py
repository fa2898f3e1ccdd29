"""Module: what it finds in its attributes, its state, its modes and its hooks."""

import copy
import pickle

import numpy as np
import pytest

from fastnn import nn
from fastnn.autograd.tensor import Tensor


class Affine(nn.Module):
    """y = w x + b, which needs no layer's operation."""

    def __init__(self, size=3):
        self.w = nn.Parameter(np.arange(1.0, size + 1))
        self.b = nn.Parameter(np.zeros(size))
        self.calls = nn.Buffer(np.zeros((), np.int64))

    def forward(self, x):
        self.calls.data += 1
        return x * self.w + self.b


class Nested(nn.Module):
    """Parts in every kind of attribute."""

    def __init__(self):
        self.head = Affine()
        self.blocks = [Affine(1), (Affine(2), nn.Parameter(np.ones(4)))]
        self.by_name = {"left": Affine(), "right": self.head}
        self.alone = nn.Parameter(np.ones(2), requires_grad=False)
        self.secret = nn.Buffer(np.ones(1), persistent=False)
        self.plain = Tensor(np.ones(5))
        self.number = 3

    def forward(self, x):
        return self.by_name["left"](self.head(x))


def names(pairs):
    return [name for name, _ in pairs]


def test_attribute_walk_finds_parts_in_order():
    model = Nested()
    assert names(model.named_modules()) == ["", "head", "blocks.0", "blocks.1.0", "by_name.left"]
    assert names(model.named_children()) == ["head", "blocks.0", "blocks.1.0", "by_name.left"]
    assert names(model.named_parameters()) == [
        *("blocks.1.1", "alone", "head.w", "head.b", "blocks.0.w", "blocks.0.b"),
        *("blocks.1.0.w", "blocks.1.0.b", "by_name.left.w", "by_name.left.b"),
    ]
    assert names(model.named_parameters(recurse=False)) == ["blocks.1.1", "alone"]
    assert names(model.named_buffers())[0] == "secret"
    assert len(list(model.parameters())) == 10
    assert len(list(model.buffers())) == 5


def test_state_dict_has_shared_parts_under_each_name_and_no_secrets():
    model = Nested()
    state = model.state_dict()
    assert state["by_name.right.w"].data is state["head.w"].data is model.head.w.data
    assert "secret" not in state
    assert "plain" not in state
    assert not any(value.requires_grad for value in state.values())
    assert set(model.state_dict(prefix="m.")) == {f"m.{key}" for key in state}
    assert model.state_dict(keep_vars=True)["head.w"] is model.head.w


def test_shared_parameters_are_listed_once():
    model = Affine()
    model.b = model.w
    assert names(model.named_parameters()) == ["w"]
    assert names(model.named_parameters(remove_duplicate=False)) == ["w", "b"]


def test_super_init_is_allowed_and_not_needed():
    class Habit(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(np.ones(1))

    assert names(Habit().named_parameters()) == ["w"]
    with pytest.raises(NotImplementedError, match="Habit does not define forward"):
        Habit()(1)


def test_replacing_and_deleting_an_attribute_is_all_it_takes():
    model = Nested()
    model.head = Affine(7)
    assert model.state_dict()["head.w"].shape == (7,)
    assert model.state_dict()["by_name.right.w"].shape == (3,)
    del model.blocks
    assert not any(name.startswith("blocks") for name in model.state_dict())


def test_register_methods():
    model = nn.Module()
    model.register_parameter("w", nn.Parameter(np.ones(2)))
    model.register_parameter("bias", None)
    model.register_buffer("mean", Tensor(np.zeros(2)))
    model.register_buffer("hidden", np.zeros(2), persistent=False)
    model.add_module("child", Affine())
    assert names(model.named_parameters(recurse=False)) == ["w"]
    assert list(model.state_dict()) == ["w", "mean", "child.w", "child.b", "child.calls"]
    model.register_parameter("bias", nn.Parameter(np.ones(1)))
    assert "bias" in model.state_dict()
    with pytest.raises(ValueError, match="already has an attribute 'w'"):
        model.register_buffer("w", np.zeros(2))
    with pytest.raises(ValueError, match="already has an attribute 'forward'"):
        model.add_module("forward", Affine())
    with pytest.raises(ValueError, match="without dots"):
        model.add_module("a.b", Affine())
    with pytest.raises(ValueError, match="not empty"):
        model.add_module("", Affine())
    with pytest.raises(TypeError, match="expected 'p' to be a Parameter, got Tensor"):
        model.register_parameter("p", Tensor(np.zeros(2)))
    with pytest.raises(TypeError, match="expected 'm' to be a Module, got int"):
        model.add_module("m", 3)
    with pytest.raises(TypeError, match="expected 'b' to be a Tensor, got str"):
        model.register_buffer("b", "text")
    with pytest.raises(TypeError, match="expected a name of type str, got int"):
        model.register_buffer(3, np.zeros(2))


def test_getters_by_name():
    model = Nested()
    assert model.get_submodule("blocks.1.0") is model.blocks[1][0]
    assert model.get_submodule("") is model
    assert model.get_submodule("by_name.right") is model.head
    assert model.get_parameter("head.w") is model.head.w
    assert model.get_buffer("head.calls") is model.head.calls
    with pytest.raises(AttributeError, match="no module 'tail'; it has"):
        model.get_submodule("tail")
    with pytest.raises(AttributeError, match=r"no parameter 'head\.calls'"):
        model.get_parameter("head.calls")
    with pytest.raises(AttributeError, match=r"no buffer 'head\.w'"):
        model.get_buffer("head.w")


def test_modes_freezing_and_apply():
    model = Nested()
    assert model.training
    assert not any(module.training for module in model.eval().modules())
    assert all(module.training for module in model.train().modules())
    with pytest.raises(TypeError, match="expected mode to be a bool, got int"):
        model.train(0)
    assert not any(p.requires_grad for p in model.requires_grad_(False).parameters())
    seen = []
    assert model.apply(lambda module: seen.append(module)) is model
    assert seen[-1] is model
    assert len(seen) == 5


def test_gradients_and_zero_grad():
    model = Affine()
    (model(Tensor(np.full(3, 2.0))) * np.ones(3)).sum().backward()
    np.testing.assert_array_equal(model.w.grad.data, [2, 2, 2])
    grad = model.w.grad
    model.zero_grad(set_to_none=False)
    assert model.w.grad is grad
    np.testing.assert_array_equal(grad.data, 0)
    model.zero_grad()
    assert model.w.grad is None


def test_conversion_keeps_identity_and_leaves_integers_alone():
    model = Affine()
    model.w.grad = Tensor(np.ones(3))
    parameter = model.w
    assert model.float() is model
    assert model.w is parameter
    assert parameter.dtype == np.float32
    assert parameter.grad.dtype == np.float32
    assert model.calls.dtype == np.int64
    assert model.to(dtype=np.float64).w.dtype == np.float64
    assert model.to("float32").w.dtype == np.float32
    assert model.to("cpu").double().cpu().to("cpu", np.float32).w.dtype == np.float32
    with pytest.raises(ValueError, match="expected device None or 'cpu', got 'cuda'"):
        model.to("cuda")
    with pytest.raises(ValueError, match="got 'cuda:0'"):
        model.to(device="cuda:0")
    with pytest.raises(TypeError, match="expected a floating dtype, got int64"):
        model.to(np.int64)


def test_load_state_dict_copies_in_place():
    model, other = Affine(), Affine()
    memory = model.w.data
    other.w.data[...] = 7
    other.calls.data += 5
    result = model.load_state_dict(other.state_dict())
    assert result.missing_keys == result.unexpected_keys == []
    assert model.w.data is memory
    np.testing.assert_array_equal(memory, 7)
    assert model.calls.item() == 5
    model.load_state_dict({"w": np.zeros(3, np.float32), "b": [1.0, 2.0, 3.0], "calls": 2})
    np.testing.assert_array_equal(model.b.data, [1, 2, 3])


def test_load_state_dict_reports_everything_and_changes_nothing():
    model = Affine()
    before = copy.deepcopy(model.state_dict())
    wrong = {"w": np.ones(3), "calls": np.ones(2), "extra": np.ones(1), "b": np.array(["x"] * 3)}
    del wrong["b"]
    with pytest.raises(ValueError, match=r"missing keys: b\n.*unexpected keys: extra\n.*'calls' has shape"):
        model.load_state_dict(wrong)
    with pytest.raises(ValueError, match="'calls' has dtype float64, expected int64"):
        model.load_state_dict({"w": np.ones(3), "calls": np.float64(1.5)}, strict=False)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.data, before[name].data)
    result = model.load_state_dict({"w": np.ones(3), "extra": np.ones(1)}, strict=False)
    assert result == (["b", "calls"], ["extra"])
    np.testing.assert_array_equal(model.w.data, 1)


def test_load_state_dict_from_its_own_memory():
    model = Affine()
    model.b.data[...] = 9
    model.load_state_dict({"w": model.b, "b": model.w, "calls": model.calls})
    np.testing.assert_array_equal(model.w.data, 9)
    np.testing.assert_array_equal(model.b.data, [1, 2, 3])


def test_loading_between_forward_and_backward_is_noticed():
    model = Affine()
    x = Tensor(np.ones(3), requires_grad=True)
    loss = model(x).sum()
    model.load_state_dict(model.state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_deepcopy_and_pickle(copied):
    model = Nested().eval()
    model.head.w.grad = Tensor(np.ones(3))
    twin = copied(model)
    assert list(twin.state_dict()) == list(model.state_dict())
    assert twin.head is twin.by_name["right"]
    assert twin.head.w is not model.head.w
    assert not np.shares_memory(twin.head.w.data, model.head.w.data)
    assert isinstance(twin.head.w, nn.Parameter)
    assert isinstance(twin.secret, nn.Buffer)
    assert not twin.secret.persistent
    assert not twin.alone.requires_grad
    assert not twin.head.training
    np.testing.assert_array_equal(twin(Tensor(np.ones(3))).data, model(Tensor(np.ones(3))).data)


def test_copy_keeps_the_memory_layout():
    channels_last = np.zeros((2, 4, 4, 3), np.float32).transpose(0, 3, 1, 2)
    twin = copy.deepcopy(nn.Parameter(channels_last))
    assert twin.data.strides == channels_last.strides


def test_parameter_shares_memory_and_needs_floats():
    tensor = Tensor(np.ones(3))
    assert nn.Parameter(tensor).data is tensor.data
    with pytest.raises(TypeError, match="floating"):
        nn.Parameter(np.ones(3, np.int64))
    assert nn.Parameter(np.ones(3, np.int64), requires_grad=False).dtype == np.int64
    assert repr(nn.Parameter(np.ones(1))).startswith("Parameter containing:\ntensor([1.]")


def test_repr_nests_as_pytorch_does():
    class Two(nn.Module):
        def __init__(self):
            self.first = nn.Identity()
            self.rest = nn.Sequential(nn.Flatten(), nn.Sequential())

        def extra_repr(self):
            return "size=2"

    assert repr(Two()) == (
        "Two(\n  size=2\n  (first): Identity()\n  (rest): Sequential(\n"
        "    (0): Flatten(start_dim=1, end_dim=-1)\n    (1): Sequential()\n  )\n)"
    )


# -- Hooks ---------------------------------------------------------------------------------------------


def test_forward_hooks_see_and_replace():
    model = Affine()
    seen = []
    with model.register_forward_pre_hook(lambda m, args: (args[0] * 2,)):
        pre = model.register_forward_pre_hook(lambda m, args: seen.append(("second", args[0].data[0])))
        model.register_forward_pre_hook(lambda m, args: seen.append(("first", args[0].data[0])), prepend=True)
        after = model.register_forward_hook(lambda m, args, y: seen.append(("after", y.data[0])) or y + 1.0)
        y = model(Tensor(np.ones(3)))
    assert seen == [("first", 1.0), ("second", 2.0), ("after", 2.0)]
    np.testing.assert_array_equal(y.data, [3, 5, 7])
    pre.remove()
    pre.remove()
    after.remove()
    np.testing.assert_array_equal(model(Tensor(np.ones(3))).data, [1, 2, 3])


def test_forward_hooks_with_keywords():
    class Scaled(nn.Module):
        def forward(self, x, scale=1.0):
            return x * scale

    model = Scaled()
    model.register_forward_pre_hook(lambda m, args, kwargs: (args, {"scale": 3.0}), with_kwargs=True)
    seen = []
    model.register_forward_hook(lambda m, args, kwargs, y: seen.append(kwargs), with_kwargs=True)
    np.testing.assert_array_equal(model(Tensor(np.ones(2)), scale=2.0).data, 3)
    assert seen == [{"scale": 3.0}]


def test_backward_hooks_see_and_replace_gradients():
    model = Affine()
    seen = []

    def hook(module, grad_input, grad_output):
        seen.append((module, grad_input[0].data.copy(), grad_output[0].data.copy()))
        return (grad_input[0] * 10.0,)

    model.register_full_backward_pre_hook(lambda m, grads: (grads[0] * 2.0,))
    handle = model.register_full_backward_hook(hook)
    x = Tensor(np.ones(3), requires_grad=True)
    (model(x) + x).sum().backward()
    module, grad_input, grad_output = seen[0]
    assert module is model
    np.testing.assert_array_equal(grad_output, 2)
    np.testing.assert_array_equal(grad_input, [2, 4, 6])
    np.testing.assert_array_equal(x.grad.data, [21, 41, 61])
    np.testing.assert_array_equal(model.b.grad.data, 2)
    handle.remove()
    model(x).sum().backward()
    assert len(seen) == 1


def test_backward_hook_without_gradient_of_the_input():
    model = Affine()
    seen = []
    model.register_full_backward_hook(lambda m, *grads: seen.append(grads))
    model(Tensor(np.ones(3))).sum().backward()
    ((grad_input, grad_output),) = seen
    assert grad_input == (None,)
    np.testing.assert_array_equal(grad_output[0].data, 1)


def test_backward_hook_needs_tensors_and_the_right_number():
    class Listing(nn.Module):
        def forward(self, x):
            return [x]

    model = Listing()
    model.register_full_backward_hook(lambda m, a, b: None)
    with pytest.raises(TypeError, match="Listing: backward hooks need an output"):
        model(Tensor(np.ones(3)))
    wrong = Affine()
    wrong.register_full_backward_hook(lambda m, grad_input, grad_output: (None, None))
    x = Tensor(np.ones(3), requires_grad=True)
    with pytest.raises(ValueError, match="expected 1 gradients back, got 2"):
        wrong(x).sum().backward()
