"""Containers: names, indexing, changing, and running their modules."""

import collections

import numpy as np
import pytest

from fastnn import nn
from fastnn.autograd.tensor import Tensor


class Plus(nn.Module):
    """Adds a number, and has it as a parameter."""

    def __init__(self, number):
        self.number = nn.Parameter(np.array([float(number)]))

    def forward(self, x):
        return x * 10.0 + self.number


def numbers(modules):
    return [module.number.item() for module in modules]


def test_sequential_runs_in_order():
    row = nn.Sequential(Plus(1), Plus(2), Plus(3))
    assert row(Tensor(np.zeros(1))).item() == 123
    assert nn.Sequential()(5) == 5
    assert list(row.state_dict()) == ["0.number", "1.number", "2.number"]


def test_sequential_with_names():
    row = nn.Sequential(collections.OrderedDict(first=Plus(1), second=Plus(2)))
    assert list(row.state_dict()) == ["first.number", "second.number"]
    assert row.second is row[1]
    row.second = Plus(7)
    assert row(Tensor(np.zeros(1))).item() == 17
    assert list(row[1:].state_dict()) == ["second.number"]
    row.append(Plus(3))
    assert list(row.state_dict()) == ["first.number", "second.number", "2.number"]


@pytest.mark.parametrize("kind", [nn.Sequential, nn.ModuleList])
def test_sequence_interface(kind):
    parts = [Plus(i) for i in range(4)]
    row = kind(*parts) if kind is nn.Sequential else kind(parts)
    assert len(row) == 4
    assert row[0] is parts[0]
    assert row[-1] is parts[3]
    assert parts[2] in row
    assert Plus(2) not in row
    part = row[1:3]
    assert isinstance(part, kind)
    assert list(part.state_dict()) == ["0.number", "1.number"]
    row[-1] = Plus(9)
    assert numbers(row) == [0, 1, 2, 9]
    row.insert(1, Plus(5)).append(Plus(6)).extend([Plus(7), Plus(8)])
    assert numbers(row) == [0, 5, 1, 2, 9, 6, 7, 8]
    assert list(row.state_dict())[-1] == "7.number"
    assert row.pop().number.item() == 8
    assert row.pop(0).number.item() == 0
    del row[0]
    del row[1:3]
    assert numbers(row) == [1, 6, 7]
    assert list(row.state_dict()) == ["0.number", "1.number", "2.number"]
    assert numbers(row + part) == [1, 6, 7, 1, 2]
    assert len(row) == 3
    with pytest.raises(IndexError, match="index 3 is out of range for 3 modules"):
        row[3]
    with pytest.raises(TypeError, match="got int"):
        row[0] = 3
    with pytest.raises(TypeError, match="to be a Module, got int"):
        row.append(3)
    with pytest.raises(TypeError, match="expected a Module, got int"):
        row.insert(0, 3)


def test_module_list_has_no_forward():
    with pytest.raises(NotImplementedError, match="ModuleList does not define forward"):
        nn.ModuleList()(1)


def test_module_dict():
    table = nn.ModuleDict({"a": Plus(1)})
    table["b"] = Plus(2)
    table["a"] = Plus(3)
    table.update({"c": Plus(4)})
    assert list(table) == list(table.keys()) == ["a", "b", "c"]
    assert numbers(table.values()) == [3, 2, 4]
    assert list(table.state_dict()) == ["a.number", "b.number", "c.number"]
    assert "b" in table
    assert table.pop("b").number.item() == 2
    del table["c"]
    assert len(table) == 1
    assert [name for name, _ in table.items()] == ["a"]
    table.clear()
    assert len(table) == 0
    with pytest.raises(KeyError):
        table["a"]
    with pytest.raises(KeyError):
        del table["keys"]
    with pytest.raises(ValueError, match="already has an attribute 'keys'"):
        table["keys"] = Plus(1)
    with pytest.raises(TypeError, match="to be a Module"):
        table["x"] = 1


def test_parameter_list_and_dict():
    row = nn.ParameterList([np.ones(2), Tensor(np.zeros(3))])
    row.append(nn.Parameter(np.ones(4)))
    row[0] = np.full(2, 5.0)
    assert list(row.state_dict()) == ["0", "1", "2"]
    assert [p.shape for p in row] == [(2,), (3,), (4,)]
    assert row[-1].requires_grad
    assert row[0].data[0] == 5
    assert "(2): Parameter of shape (4,) and dtype float64" in repr(row)
    table = nn.ParameterDict({"w": np.ones(2)})
    table["b"] = Tensor(np.ones(1))
    table["w"] = np.zeros(2)
    assert list(table.state_dict()) == ["w", "b"]
    assert table["w"].data[0] == 0
    assert "(b): Parameter of shape (1,)" in repr(table)
    with pytest.raises(TypeError, match="expected a Parameter, Tensor or ndarray, got str"):
        row.append("x")
    with pytest.raises(IndexError):
        row[3] = np.ones(1)


def test_containers_inside_a_module():
    class Net(nn.Module):
        def __init__(self):
            self.blocks = nn.ModuleList([Plus(1), Plus(2)])
            self.heads = nn.ModuleDict({"x": Plus(3)})

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return self.heads["x"](x)

    net = Net()
    assert list(net.state_dict()) == ["blocks.0.number", "blocks.1.number", "heads.x.number"]
    assert net(Tensor(np.zeros(1))).item() == 123
