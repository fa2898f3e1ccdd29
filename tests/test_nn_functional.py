"""`nn.functional` lists the operations under PyTorch's names, with its parameters in its order."""

import inspect

import numpy as np
import pytest

from fastnn.autograd import OPS
from fastnn.nn import functional

# Without PyTorch's deprecated `size_average` and `reduce`, and the internals `_stacklevel` and `dtype`.
PARAMETERS = {
    "alpha_dropout": "input p training inplace",
    "conv_transpose1d": "input weight bias stride padding output_padding groups dilation",
    "conv_transpose2d": "input weight bias stride padding output_padding groups dilation",
    "conv_transpose3d": "input weight bias stride padding output_padding groups dilation",
    "cosine_embedding_loss": "input1 input2 target margin reduction",
    "cosine_similarity": "x1 x2 dim eps",
    "feature_alpha_dropout": "input p training inplace",
    "fold": "input output_size kernel_size dilation padding stride",
    "fractional_max_pool2d": "input kernel_size output_size output_ratio return_indices _random_samples",
    "fractional_max_pool3d": "input kernel_size output_size output_ratio return_indices _random_samples",
    "gaussian_nll_loss": "input target var full eps reduction",
    "glu": "input dim",
    "gumbel_softmax": "logits tau hard eps dim",
    "hardshrink": "input lambd",
    "hinge_embedding_loss": "input target margin reduction",
    "lp_pool1d": "input norm_type kernel_size stride ceil_mode",
    "lp_pool2d": "input norm_type kernel_size stride ceil_mode",
    "lp_pool3d": "input norm_type kernel_size stride ceil_mode",
    "margin_ranking_loss": "input1 input2 target margin reduction",
    "multilabel_margin_loss": "input target reduction",
    "multilabel_soft_margin_loss": "input target weight reduction",
    "normalize": "input p dim eps",
    "pairwise_distance": "x1 x2 p eps keepdim",
    "poisson_nll_loss": "input target log_input full eps reduction",
    "rrelu": "input lower upper training inplace",
    "softshrink": "input lambd",
    "threshold": "input threshold value inplace",
    "triplet_margin_loss": "anchor positive negative margin p eps swap reduction",
    "triplet_margin_with_distance_loss": "anchor positive negative distance_function margin swap reduction",
    "unfold": "input kernel_size dilation padding stride",
    "adaptive_avg_pool1d": "input output_size",
    "adaptive_avg_pool2d": "input output_size",
    "adaptive_avg_pool3d": "input output_size",
    "adaptive_max_pool1d": "input output_size return_indices",
    "adaptive_max_pool2d": "input output_size return_indices",
    "adaptive_max_pool3d": "input output_size return_indices",
    "avg_pool1d": "input kernel_size stride padding ceil_mode count_include_pad",
    "avg_pool2d": "input kernel_size stride padding ceil_mode count_include_pad divisor_override",
    "avg_pool3d": "input kernel_size stride padding ceil_mode count_include_pad divisor_override",
    "batch_norm": "input running_mean running_var weight bias training momentum eps",
    "binary_cross_entropy": "input target weight reduction",
    "binary_cross_entropy_with_logits": "input target weight reduction pos_weight",
    "celu": "input alpha inplace",
    "conv1d": "input weight bias stride padding dilation groups",
    "conv2d": "input weight bias stride padding dilation groups",
    "conv3d": "input weight bias stride padding dilation groups",
    "cross_entropy": "input target weight sample_weight ignore_index reduction label_smoothing",
    "dropout": "input p training inplace",
    "dropout1d": "input p training inplace",
    "dropout2d": "input p training inplace",
    "dropout3d": "input p training inplace",
    "elu": "input alpha inplace",
    "gelu": "input approximate",
    "group_norm": "input num_groups weight bias eps",
    "hardsigmoid": "input inplace",
    "hardswish": "input inplace",
    "hardtanh": "input min_val max_val inplace",
    "huber_loss": "input target reduction delta weight",
    "instance_norm": "input running_mean running_var weight bias use_input_stats momentum eps",
    "kl_div": "input target reduction log_target",
    "l1_loss": "input target reduction weight",
    "layer_norm": "input normalized_shape weight bias eps",
    "leaky_relu": "input negative_slope inplace",
    "linear": "input weight bias",
    "log_softmax": "input dim",
    "logsigmoid": "input",
    "max_pool1d": "input kernel_size stride padding dilation ceil_mode return_indices",
    "max_pool2d": "input kernel_size stride padding dilation ceil_mode return_indices",
    "max_pool3d": "input kernel_size stride padding dilation ceil_mode return_indices",
    "mish": "input inplace",
    "mse_loss": "input target reduction weight",
    "multi_margin_loss": "input target p margin weight reduction",
    "nll_loss": "input target weight ignore_index reduction",
    "one_hot": "input num_classes",
    "pad": "input pad mode value",
    "prelu": "input weight",
    "relu": "input inplace",
    "relu6": "input inplace",
    "selu": "input inplace",
    "sigmoid": "input",
    "silu": "input inplace",
    "smooth_l1_loss": "input target reduction beta",
    "soft_margin_loss": "input target reduction",
    "softmax": "input dim",
    "softmin": "input dim",
    "softplus": "input beta threshold",
    "softsign": "input",
    "tanh": "input",
    "tanhshrink": "input",
}
OURS = {"maxout", "stochastic_depth"}


def public_names():
    return {name for name, value in vars(functional).items() if callable(value) and not name.startswith("_")}


def test_the_table_is_complete():
    assert public_names() == set(PARAMETERS) | OURS


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_names(name):
    """A `generator` may follow, and for dropout where it scales."""
    own = ("generator", "scale_at_test")
    parameters = [p for p in inspect.signature(getattr(functional, name)).parameters if p not in own]
    assert parameters == PARAMETERS[name].split()


def test_every_name_is_a_documented_operation():
    for name in public_names():
        function = getattr(functional, name)
        assert OPS.get(name, function) is function
        assert function.__doc__


def test_arrays_will_do():
    np.testing.assert_array_equal(functional.relu(np.array([-1.0, 2.0])).data, [0, 2])
