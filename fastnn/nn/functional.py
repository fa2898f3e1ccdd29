"""The operations under the names they have in `torch.nn.functional`, with its signatures.

The functions live in `fastnn.ops`, one module per family; this module only lists them. Each works on Tensors
and ndarrays and is differentiable.
"""

from ..ops.activation import celu as celu
from ..ops.activation import elu as elu
from ..ops.activation import gelu as gelu
from ..ops.activation import hardsigmoid as hardsigmoid
from ..ops.activation import hardswish as hardswish
from ..ops.activation import hardtanh as hardtanh
from ..ops.activation import leaky_relu as leaky_relu
from ..ops.activation import log_softmax as log_softmax
from ..ops.activation import logsigmoid as logsigmoid
from ..ops.activation import maxout as maxout
from ..ops.activation import mish as mish
from ..ops.activation import prelu as prelu
from ..ops.activation import relu as relu
from ..ops.activation import relu6 as relu6
from ..ops.activation import selu as selu
from ..ops.activation import sigmoid as sigmoid
from ..ops.activation import silu as silu
from ..ops.activation import softmax as softmax
from ..ops.activation import softmin as softmin
from ..ops.activation import softplus as softplus
from ..ops.activation import softsign as softsign
from ..ops.activation import tanh as tanh
from ..ops.activation import tanhshrink as tanhshrink
from ..ops.conv import conv1d as conv1d
from ..ops.conv import conv2d as conv2d
from ..ops.conv import conv3d as conv3d
from ..ops.dropout import dropout as dropout
from ..ops.dropout import dropout1d as dropout1d
from ..ops.dropout import dropout2d as dropout2d
from ..ops.dropout import dropout3d as dropout3d
from ..ops.index import one_hot as one_hot
from ..ops.join import pad as pad
from ..ops.linear import linear as linear
from ..ops.loss import binary_cross_entropy as binary_cross_entropy
from ..ops.loss import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from ..ops.loss import cross_entropy as cross_entropy
from ..ops.loss import huber_loss as huber_loss
from ..ops.loss import kl_div as kl_div
from ..ops.loss import l1_loss as l1_loss
from ..ops.loss import mse_loss as mse_loss
from ..ops.loss import multi_margin_loss as multi_margin_loss
from ..ops.loss import nll_loss as nll_loss
from ..ops.loss import smooth_l1_loss as smooth_l1_loss
from ..ops.loss import soft_margin_loss as soft_margin_loss
from ..ops.norm import batch_norm as batch_norm
from ..ops.norm import group_norm as group_norm
from ..ops.norm import instance_norm as instance_norm
from ..ops.norm import layer_norm as layer_norm
from ..ops.pool import adaptive_avg_pool1d as adaptive_avg_pool1d
from ..ops.pool import adaptive_avg_pool2d as adaptive_avg_pool2d
from ..ops.pool import adaptive_avg_pool3d as adaptive_avg_pool3d
from ..ops.pool import adaptive_max_pool1d as adaptive_max_pool1d
from ..ops.pool import adaptive_max_pool2d as adaptive_max_pool2d
from ..ops.pool import adaptive_max_pool3d as adaptive_max_pool3d
from ..ops.pool import avg_pool1d as avg_pool1d
from ..ops.pool import avg_pool2d as avg_pool2d
from ..ops.pool import avg_pool3d as avg_pool3d
from ..ops.pool import max_pool1d as max_pool1d
from ..ops.pool import max_pool2d as max_pool2d
from ..ops.pool import max_pool3d as max_pool3d
