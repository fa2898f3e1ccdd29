# distutils: language = c
"""The binding floor: one thin function per entry point of the C library.

Every function checks dtype, contiguity, writability and element counts of its arrays through binding/core.pxi, makes
one C call without the interpreter lock, and raises MemoryError where C ran out of memory. Relations between shapes are
the ops' business. Private: users and tests of behaviour go through `fastnn`.
"""

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cnp.import_array()

include "binding/core.pxi"
include "binding/linear.pxi"
include "binding/conv.pxi"
include "binding/pool.pxi"
include "binding/norm.pxi"
include "binding/activation.pxi"
include "binding/loss.pxi"
include "binding/copy.pxi"
include "binding/elementwise.pxi"
include "binding/reduce.pxi"
include "binding/dropout.pxi"
include "binding/optim.pxi"
include "binding/augment.pxi"
include "binding/program.pxi"
