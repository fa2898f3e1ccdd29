# program.pxi - a network as a list of steps that one call executes.

import numpy as _numpy

from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

cdef extern from "fnn.h" nogil:
    enum: FNN_NOWHERE, FNN_COPY_AXES
    enum: FNN_STEP_CONV, FNN_STEP_MAX_POOL, FNN_STEP_AVG_POOL, FNN_STEP_NORM, FNN_STEP_ACTIVATION, FNN_STEP_BINARY
    enum: FNN_STEP_SOFTMAX, FNN_STEP_COPY, FNN_STEP_FILL
    ctypedef struct fnn_place:
        int64_t slot, offset
    ctypedef struct fnn_conv_step:
        fnn_conv_shape shape
        int algorithm
        fnn_place w, prepared, bias, residual
        int activation
        double a, b, c
    ctypedef struct fnn_norm_step:
        int64_t rows, channels
        c_bool relu
        fnn_place residual, w, b, mean, rstd
    ctypedef struct fnn_activation_step:
        int code
        int64_t n
        double a, b, c
    ctypedef struct fnn_binary_step:
        int code
        int64_t n
        fnn_place other
    ctypedef struct fnn_softmax_step:
        c_bool log
        int64_t outer, classes, inner
    ctypedef struct fnn_copy_step:
        int64_t *size
        int64_t *x_step
        int64_t *y_step
    ctypedef struct fnn_fill_step:
        int64_t n
        double value
    ctypedef union fnn_step_detail:
        fnn_conv_step conv
        fnn_pool_shape pool
        fnn_norm_step norm
        fnn_activation_step activation
        fnn_binary_step binary
        fnn_softmax_step softmax
        fnn_copy_step copy
        fnn_fill_step fill
    ctypedef struct fnn_step:
        int kind
        fnn_place x, y
        fnn_step_detail detail "as"
    ctypedef struct fnn_program:
        const fnn_step *steps
        int64_t count
    int fnn_program_run(int dtype, const fnn_program *program, void **slots)


cdef cnp.ndarray of_shape(tuple shape):
    """An array with a shape and no memory behind it, for the functions that check shapes."""
    return _numpy.broadcast_to(_numpy.zeros((), _numpy.float32), shape)


cdef class Program:
    """Steps over places in slots; a place is (slot, offset in bytes), or None where a step may do without.

    Slot 0 is memory that lasts for a run, the next ones are bound to arrays by each run: first those that it reads,
    then those that it writes. The constants follow. Every step is checked to stay inside its slots when it is added.
    A program belongs to the instruction-set level at which it was made, for it may hold prepared filters.
    """
    cdef fnn_step *steps
    cdef int64_t count, room
    cdef int dtype, level, inputs, outputs, slots
    cdef int64_t *sizes
    cdef void **bases
    cdef tuple constants

    def __cinit__(self, dtype, int64_t steps, int64_t memory, tuple inputs, tuple outputs, tuple constants):
        """Room for `steps` steps; bytes of slot 0, of the inputs and of the outputs; the constant arrays."""
        cdef int i = 1
        cdef cnp.ndarray array
        self.dtype = real_dtype(_numpy.empty(0, dtype), "dtype")
        self.level = fnn_level()
        self.constants, self.room = constants, steps
        self.inputs, self.outputs = <int>len(inputs), <int>len(outputs)
        self.slots = 1 + self.inputs + self.outputs + <int>len(constants)
        self.steps = <fnn_step *>calloc(max(steps, 1), sizeof(fnn_step))
        self.sizes = <int64_t *>calloc(self.slots, sizeof(int64_t))
        self.bases = <void **>calloc(self.slots, sizeof(void *))
        if self.steps == NULL or self.sizes == NULL or self.bases == NULL:
            raise MemoryError("Program: out of memory")
        self.sizes[0] = memory
        for size in inputs + outputs:
            self.sizes[i] = size
            i += 1
        for array in constants:
            if not cnp.PyArray_CHKFLAGS(array, cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_ALIGNED):
                raise ValueError("Program: expected C-contiguous constants")
            self.sizes[i] = cnp.PyArray_NBYTES(array)
            self.bases[i] = cnp.PyArray_DATA(array)
            i += 1
        if min([self.sizes[i] for i in range(self.slots)]) < 0 or memory > 1 << 46:
            raise ValueError("Program: expected sizes from 0 to 2**46")

    def __dealloc__(self):
        free(self.steps)
        free(self.sizes)
        free(self.bases)

    def __len__(self):
        return self.count

    cdef int64_t real_bytes(self) noexcept:
        return 4 if self.dtype == FNN_F32 else 8

    cdef fnn_place place(self, str name, object where, object elements, int64_t item=0, bint write=False) except *:
        """A place checked to have room for `elements`, of reals or of `item` bytes; nowhere for None."""
        cdef fnn_place found
        found.slot, found.offset = FNN_NOWHERE, 0
        if where is None:
            return found
        slot, offset = where
        item = item or self.real_bytes()
        if not 0 <= slot < self.slots or offset < 0 or offset % item or offset + elements * item > self.sizes[slot]:
            raise ValueError(f"Program: {name}, {elements} elements at {where}, is not inside its slot")
        if write and not (slot == 0 or self.inputs < slot <= self.inputs + self.outputs):
            raise ValueError(f"Program: {name} at {where} is not memory to write to")
        found.slot, found.offset = slot, offset
        return found

    cdef fnn_step *next(self, int kind, object x, object x_size, object y, object y_size) except NULL:
        """The next step, its input and output in place; it counts once the caller has filled in the rest."""
        cdef fnn_step *step = self.steps + self.count
        if self.count == self.room:
            raise ValueError(f"Program: expected at most {self.room} steps")
        step.kind = kind
        step.x = self.place("x", x, x_size)
        step.y = self.place("y", y, y_size, 0, True)
        if y is None or (x is None and kind != FNN_STEP_FILL):
            raise ValueError("Program: a step needs an input and an output")
        return step

    def conv(self, x, tuple x_shape, w, tuple w_shape, y, tuple y_shape, tuple stride, tuple pad, tuple dilation,
             int64_t groups, int algorithm, prepared=None, bias=None, residual=None, int activation=FNN_NO_ACTIVATION,
             tuple parameters=(0.0, 0.0, 0.0)):
        """conv_fwd; shapes are (n, d, h, w, c) and (k, c / groups, kd, kh, kw)."""
        cdef cnp.ndarray xs = of_shape(x_shape), ws = of_shape(w_shape), ys = of_shape(y_shape)
        cdef fnn_step *step = self.next(FNN_STEP_CONV, x, xs.size, y, ys.size)
        cdef fnn_conv_step *s = &step.detail.conv
        cdef int64_t reals
        conv_shape(&s.shape, xs, ws, ys, stride, pad, dilation, groups)
        s.algorithm = algorithm
        done(fnn_conv_prepare(self.dtype, &s.shape, algorithm, NULL, NULL, &reals))
        s.w = self.place("w", w, ws.size)
        s.prepared = self.place("prepared", prepared, reals)
        s.bias = self.place("bias", bias, s.shape.k)
        s.residual = self.place("residual", residual, ys.size)
        if w is None and (prepared is None or reals == 0):
            raise ValueError("Program: a convolution needs filters")
        s.activation = FNN_NO_ACTIVATION if activation == FNN_NO_ACTIVATION else activation_code(activation)
        s.a, s.b, s.c = parameters
        self.count += 1

    def pool(self, bint maximum, x, tuple x_shape, y, tuple y_shape, tuple window, bint include_pad=True,
             int64_t divisor=0):
        """pool_max_fwd or pool_avg_fwd; shapes are (n, *spatial, c)."""
        cdef cnp.ndarray xs = of_shape(x_shape), ys = of_shape(y_shape)
        cdef int kind = FNN_STEP_MAX_POOL if maximum else FNN_STEP_AVG_POOL
        cdef fnn_step *step = self.next(kind, x, xs.size, y, ys.size)
        pool_shape(&step.detail.pool, xs, ys, window)
        pool_average(&step.detail.pool, include_pad, divisor)
        self.count += 1

    def norm(self, x, y, int64_t rows, int64_t channels, mean, rstd, w=None, b=None, residual=None, bint relu=False):
        """norm_batch_apply; mean and rstd are float64."""
        cdef object size = rows * <object>channels
        cdef fnn_step *step = self.next(FNN_STEP_NORM, x, size, y, size)
        cdef fnn_norm_step *s = &step.detail.norm
        if mean is None or rstd is None or rows < 0 or channels < 1:
            raise ValueError("Program: a batch norm needs channels, mean and rstd")
        s.rows, s.channels, s.relu = rows, channels, relu
        s.mean, s.rstd = self.place("mean", mean, channels, 8), self.place("rstd", rstd, channels, 8)
        s.w, s.b = self.place("w", w, channels), self.place("b", b, channels)
        s.residual = self.place("residual", residual, size)
        self.count += 1

    def activation(self, int code, x, y, int64_t n, tuple parameters=(0.0, 0.0, 0.0)):
        """activation_fwd on n elements."""
        cdef fnn_step *step = self.next(FNN_STEP_ACTIVATION, x, n, y, n)
        cdef fnn_activation_step *s = &step.detail.activation
        s.code, s.n = activation_code(code), n
        s.a, s.b, s.c = parameters
        self.count += 1

    def binary(self, int code, x, other, y, int64_t n):
        """binary_arrays on n elements: y = x op other."""
        cdef fnn_step *step = self.next(FNN_STEP_BINARY, x, n, y, n)
        if not 0 <= code < FNN_BINARIES or other is None:
            raise ValueError("Program: expected the code of an operator and two operands")
        step.detail.binary.code, step.detail.binary.n = code, n
        step.detail.binary.other = self.place("other", other, n)
        self.count += 1

    def softmax(self, bint log, x, y, int64_t outer, int64_t classes, int64_t inner):
        """softmax_fwd along the middle axis of (outer, classes, inner)."""
        cdef object size = outer * <object>classes * inner
        cdef fnn_step *step = self.next(FNN_STEP_SOFTMAX, x, size, y, size)
        cdef fnn_softmax_step *s = &step.detail.softmax
        if min(outer, classes, inner) < 0:
            raise ValueError(f"Program: expected a shape, got {(outer, classes, inner)}")
        s.log, s.outer, s.classes, s.inner = log, outer, classes, inner
        self.count += 1

    def copy(self, x, y, tuple size, tuple x_steps, tuple y_steps):
        """Elements of x to y, up to six axes with steps that are not negative, counted in elements."""
        cdef int i, axes = <int>len(size)
        if axes > FNN_COPY_AXES or len(x_steps) != axes or len(y_steps) != axes or min(size + x_steps + y_steps) < 0:
            raise ValueError(f"Program: expected up to {FNN_COPY_AXES} axes, got {size}, {x_steps}, {y_steps}")
        reach = [1 + sum([(n - 1) * apart for n, apart in zip(size, steps)]) if min(size, default=1) else 0
                 for steps in (x_steps, y_steps)]
        cdef fnn_step *step = self.next(FNN_STEP_COPY, x, reach[0], y, reach[1])
        cdef fnn_copy_step *s = &step.detail.copy
        for i in range(FNN_COPY_AXES):
            s.size[i], s.x_step[i], s.y_step[i] = 1, 0, 0
        for i in range(axes):
            s.size[FNN_COPY_AXES - axes + i] = size[i]
            s.x_step[FNN_COPY_AXES - axes + i], s.y_step[FNN_COPY_AXES - axes + i] = x_steps[i], y_steps[i]
        self.count += 1

    def fill(self, y, int64_t n, double value):
        """y = value, n times."""
        cdef fnn_step *step = self.next(FNN_STEP_FILL, None, 0, y, n)
        step.detail.fill.n, step.detail.fill.value = n, value
        self.count += 1

    def run(self, tuple arrays):
        """Runs the steps with dense arrays bound to the slots of the inputs and outputs, in this order."""
        cdef int i, status, bound = self.inputs + self.outputs
        cdef int typenum = cnp.NPY_FLOAT32 if self.dtype == FNN_F32 else cnp.NPY_FLOAT64
        cdef size_t table = (sizeof(void *) * self.slots + 63) // 64 * 64
        cdef cnp.ndarray array
        cdef fnn_program program
        cdef void **slots
        if len(arrays) != bound:
            raise ValueError(f"Program: expected {bound} arrays, got {len(arrays)}")
        if fnn_level() != self.level:
            raise RuntimeError("Program: made at another instruction-set level")
        for i in range(bound):
            array = arrays[i]
            if (cnp.PyArray_TYPE(array) != typenum or cnp.PyArray_NBYTES(array) != self.sizes[1 + i]
                    or not cnp.PyArray_CHKFLAGS(array, cnp.NPY_ARRAY_ALIGNED) or not is_dense(array)
                    or (i >= self.inputs and not cnp.PyArray_ISWRITEABLE(array))):
                raise ValueError(f"Program: array {i}, {array.dtype} {(<object>array).shape} with strides "
                                 f"{(<object>array).strides}, does not fit its slot of {self.sizes[1 + i]} bytes")
        slots = <void **>fnn_alloc(table + <size_t>self.sizes[0])
        if slots == NULL:
            raise MemoryError("Program: out of memory for its intermediate values")
        memcpy(slots, self.bases, sizeof(void *) * self.slots)
        slots[0] = <char *>slots + table
        for i in range(bound):
            slots[1 + i] = cnp.PyArray_DATA(<cnp.ndarray>arrays[i])
        program.steps, program.count = self.steps, self.count
        with nogil:
            status = fnn_program_run(self.dtype, &program, slots)
            fnn_free(slots)
        done(status)


# ---- whether what a program was made from is still so: a few dozen nanoseconds for each of a network's parts ---------

def same_members(list members):
    """Whether every (attributes, name, value) still holds: the dict has this very object under the name."""
    cdef tuple member
    cdef object value
    for member in members:
        value = (<dict>member[0]).get(member[1])
        if value is not member[2]:
            return False
    return True


def same_values(list states):
    """Whether every (tensor, array, version) still holds: the tensor's array, and how often it was changed in place."""
    cdef tuple state
    for state in states:
        if state[0].data is not state[1] or (<list>(<list>state[0]._version)[0])[0] != state[2]:
            return False
    return True
