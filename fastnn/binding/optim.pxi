# optim.pxi - optimiser steps and gradient clipping over tables of spans.

from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from libc.string cimport memset

cdef extern from "fnn.h" nogil:
    enum: FNN_SPAN_ALIGN
    ctypedef struct fnn_span:
        void *w
        const void *g
        void **state
        int64_t *step
        int64_t n, start
    ctypedef struct fnn_penalty:
        double weight_decay, l1
        c_bool decoupled, maximize
    ctypedef struct fnn_sgd:
        fnn_penalty penalty
        double lr, momentum, dampening
        c_bool nesterov
    ctypedef struct fnn_nesterov:
        fnn_penalty penalty
        double lr, momentum
    ctypedef struct fnn_lars:
        fnn_penalty penalty
        double lr, momentum, trust
        c_bool nesterov, adapt
    ctypedef struct fnn_adagrad:
        fnn_penalty penalty
        double lr, lr_decay, eps
    ctypedef struct fnn_adadelta:
        fnn_penalty penalty
        double lr, rho, eps
    ctypedef struct fnn_rmsprop:
        fnn_penalty penalty
        double lr, alpha, eps, momentum
        c_bool centered
    ctypedef struct fnn_adam:
        fnn_penalty penalty
        double lr, beta1, beta2, eps
        c_bool amsgrad, eps_inside
    ctypedef struct fnn_betas:
        fnn_penalty penalty
        double lr, beta1, beta2, eps, momentum_decay
        c_bool adapt
    int fnn_optim_sgd(int dtype, fnn_span *spans, int64_t count, const fnn_sgd *options)
    int fnn_optim_nesterov(int dtype, fnn_span *spans, int64_t count, const fnn_nesterov *options)
    int fnn_optim_lars(int dtype, fnn_span *spans, int64_t count, const fnn_lars *options)
    int fnn_optim_adagrad(int dtype, fnn_span *spans, int64_t count, const fnn_adagrad *options)
    int fnn_optim_adadelta(int dtype, fnn_span *spans, int64_t count, const fnn_adadelta *options)
    int fnn_optim_rmsprop(int dtype, fnn_span *spans, int64_t count, const fnn_rmsprop *options)
    int fnn_optim_adam(int dtype, fnn_span *spans, int64_t count, const fnn_adam *options)
    int fnn_optim_nadam(int dtype, fnn_span *spans, int64_t count, const fnn_betas *options)
    int fnn_optim_radam(int dtype, fnn_span *spans, int64_t count, const fnn_betas *options)
    int fnn_optim_adamax(int dtype, fnn_span *spans, int64_t count, const fnn_betas *options)
    int fnn_optim_lion(int dtype, fnn_span *spans, int64_t count, const fnn_betas *options)
    int fnn_optim_lamb(int dtype, fnn_span *spans, int64_t count, const fnn_betas *options)
    int fnn_optim_sum_squares(int dtype, const fnn_span *spans, int64_t count, double *sum)
    int fnn_optim_nonfinite(int dtype, const fnn_span *spans, int64_t count, c_bool *found)
    int fnn_optim_scale(int dtype, const fnn_span *spans, int64_t count, double factor)
    int fnn_optim_clamp(int dtype, const fnn_span *spans, int64_t count, double limit)
    int fnn_optim_mix(int dtype, const fnn_span *spans, int64_t count, double keep, double add)


cpdef bint is_dense(cnp.ndarray array) noexcept:
    """Whether the elements fill their memory without gaps or overlaps, whatever the order of the dimensions."""
    cdef int ndim = cnp.PyArray_NDIM(array), i, found
    cdef cnp.npy_intp *shape = cnp.PyArray_DIMS(array)
    cdef cnp.npy_intp *strides = cnp.PyArray_STRIDES(array)
    cdef cnp.npy_intp step = cnp.PyArray_ITEMSIZE(array), whole = step * cnp.PyArray_SIZE(array)
    if cnp.PyArray_IS_C_CONTIGUOUS(array):
        return True
    while step < whole:
        found = -1
        for i in range(ndim):
            if shape[i] > 1 and strides[i] == step:
                found = i
        if found < 0:
            return False
        step *= shape[found]
    return True


cdef bint same_layout(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether two arrays of one shape and dtype hold corresponding elements at corresponding places."""
    cdef int i
    if cnp.PyArray_IS_C_CONTIGUOUS(a) and cnp.PyArray_IS_C_CONTIGUOUS(b):
        return True
    for i in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, i) > 1 and cnp.PyArray_STRIDE(a, i) != cnp.PyArray_STRIDE(b, i):
            return False
    return True


cdef void *span_target(object array, int typenum, str name, Py_ssize_t index) except NULL:
    """The memory of a dense, writable array of `typenum`."""
    if not isinstance(array, cnp.ndarray):
        raise TypeError(f"{name} {index}: expected an array, got {type(array).__name__}")
    if cnp.PyArray_TYPE(array) != typenum:
        raise TypeError(f"{name} {index}: expected {cnp.PyArray_DescrFromType(typenum)}, got {array.dtype}")
    if not cnp.PyArray_ISALIGNED(array) or not is_dense(array):
        raise ValueError(f"{name} {index}: expected memory without gaps, got strides {array.strides} for shape "
                         f"{array.shape} of {array.dtype}; use a copy")
    if not cnp.PyArray_ISWRITEABLE(array):
        raise ValueError(f"{name} {index}: the array to change is read-only")
    return cnp.PyArray_DATA(array)


cdef class Spans:
    """Pointers into the arrays of one parameter group, checked once and then used by every step.

    Args:
        weights: dense writable arrays of one real dtype, the arrays that steps change.
        states: for each of them a list of up to three arrays in the weight's layout, None for a state without use;
            or an empty list.
        steps: for each of them an int64 array of one element that counts its steps, or None.
    """

    cdef fnn_span *table
    cdef int64_t count
    cdef int dtype, typenum
    cdef list weights, states, steps, gradients

    def __cinit__(self, list weights, list states, list steps):
        cdef int64_t i, start = 0
        cdef size_t size = sizeof(fnn_span) * <size_t>max(len(weights), 1)
        if len(states) != len(weights) or len(steps) != len(weights):
            raise ValueError("Spans: expected states and steps for every weight")
        self.weights, self.states, self.steps = list(weights), [list(s) for s in states], list(steps)
        self.count = len(weights)
        self.dtype = real_dtype(weights[0], "weight 0") if weights else FNN_F32
        self.typenum = cnp.NPY_FLOAT32 if self.dtype == FNN_F32 else cnp.NPY_FLOAT64
        self.table = <fnn_span *>fnn_alloc(size)
        if self.table == NULL:
            raise MemoryError("Spans: out of memory")
        memset(self.table, 0, size)
        for i in range(self.count):
            self.point(i)
            self.table[i].start = start
            start += (self.table[i].n + FNN_SPAN_ALIGN - 1) // FNN_SPAN_ALIGN * FNN_SPAN_ALIGN

    cdef int point(self, int64_t i) except -1:
        """Fill row i, but for `start` and the gradient."""
        cdef fnn_span *span = self.table + i
        weight, step = self.weights[i], self.steps[i]
        span.w = span_target(weight, self.typenum, "weight", i)
        span.n = cnp.PyArray_SIZE(weight)
        if step is not None:
            span.step = <int64_t *>checked(step, cnp.NPY_INT64, "step", 1, True)
        if len(self.states[i]) > 3:
            raise ValueError("Spans: expected at most three states")
        for k, state in enumerate(self.states[i]):
            if state is None:
                continue
            span.state[<int>k] = span_target(state, self.typenum, "state", i)
            if state.shape != weight.shape or not same_layout(state, weight):
                raise ValueError(f"state {i}: expected the layout of its weight, got shape {state.shape} and strides "
                                 f"{state.strides} for {weight.shape} and {weight.strides}")
        return 0

    def __dealloc__(self):
        fnn_free(self.table)

    def matches(self, list weights):
        """Whether `weights` are the very arrays that the table points to."""
        cdef Py_ssize_t i, count = PyList_GET_SIZE(weights)
        if count != self.count:
            return False
        for i in range(count):
            if PyList_GET_ITEM(weights, i) != PyList_GET_ITEM(self.weights, i):
                return False
        return True

    def aim(self, list gradients):
        """Take the gradients of the next step. One in another memory order than its weight is copied into that."""
        cdef Py_ssize_t i
        cdef cnp.ndarray weight
        cdef object gradient
        cdef list held = gradients
        if len(gradients) != self.count:
            raise ValueError(f"aim: expected {self.count} gradients, got {len(gradients)}")
        for i in range(self.count):
            gradient, weight = gradients[i], self.weights[i]
            if not isinstance(gradient, cnp.ndarray) or cnp.PyArray_TYPE(gradient) != self.typenum:
                raise TypeError(f"gradient of parameter {i}: expected an array of {weight.dtype}, got "
                                f"{getattr(gradient, 'dtype', type(gradient).__name__)}")
            if not cnp.PyArray_SAMESHAPE(gradient, weight):
                raise ValueError(f"gradient of parameter {i}: expected shape {(<object>weight).shape}, got "
                                 f"{gradient.shape}")
            if not (same_layout(gradient, weight) and cnp.PyArray_ISALIGNED(gradient)):
                if held is gradients:
                    held = list(gradients)
                copy = (<object>weight).copy("K")
                copy[...] = gradient
                held[i] = gradient = copy
            self.table[i].g = cnp.PyArray_DATA(gradient)
        self.gradients = list(held) if held is gradients else held

    cdef int ready(self, int states) except -1:
        """Raise unless gradients were taken and every row has a step count and its first `states` states."""
        cdef int64_t i
        cdef int k
        if self.gradients is None:
            raise ValueError("Spans: aim() at the gradients of this step first")
        for i in range(self.count):
            if states > 0 and self.table[i].step == NULL:
                raise ValueError(f"Spans: parameter {i} has no step count")
            for k in range(states):
                if self.table[i].state[k] == NULL:
                    raise ValueError(f"Spans: parameter {i} lacks state {k}")
        return 0

    cdef int finish(self, int status) except -1:
        """Let go of the gradients."""
        self.gradients = None
        return done(status)


cdef fnn_penalty penalty_of(tuple given) except *:
    """The penalty (weight_decay, l1, decoupled, maximize)."""
    cdef fnn_penalty penalty
    weight_decay, l1, decoupled, maximize = given
    penalty.weight_decay, penalty.l1 = weight_decay, l1
    penalty.decoupled, penalty.maximize = bool(decoupled), bool(maximize)
    return penalty


# Each step takes (weight_decay, l1, decoupled, maximize): g becomes -g to maximize, plus l1 sign(w), plus weight_decay w
# unless decoupled, when w shrinks by the factor 1 - lr weight_decay.

def optim_sgd(Spans spans, tuple penalty, double lr, double momentum, double dampening, bint nesterov):
    """v = momentum v + (1 - dampening) g (v = g at first); w -= lr v; without states w -= lr g."""
    cdef fnn_sgd options = [penalty_of(penalty), lr, momentum, dampening, nesterov]
    cdef int status
    spans.ready(0)
    with nogil:
        status = fnn_optim_sgd(spans.dtype, spans.table, spans.count, &options)
    spans.finish(status)


def optim_nesterov(Spans spans, tuple penalty, double lr, double momentum):
    """From the point w + momentum v: v = momentum v - lr g; w -= lr g."""
    cdef fnn_nesterov options = [penalty_of(penalty), lr, momentum]
    cdef int status
    spans.ready(1)
    with nogil:
        status = fnn_optim_nesterov(spans.dtype, spans.table, spans.count, &options)
    spans.finish(status)


def optim_lars(Spans spans, tuple penalty, double lr, double momentum, double trust, bint nesterov, bint adapt):
    """v = momentum v + a g; w -= lr v; a = trust |w| / (|g| + weight_decay |w|), or 1 where not adapted."""
    cdef fnn_lars options = [penalty_of(penalty), lr, momentum, trust, nesterov, adapt]
    cdef int status
    spans.ready(1)
    with nogil:
        status = fnn_optim_lars(spans.dtype, spans.table, spans.count, &options)
    spans.finish(status)


def optim_adagrad(Spans spans, tuple penalty, double lr, double lr_decay, double eps):
    """s += g^2; w -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)."""
    cdef fnn_adagrad options = [penalty_of(penalty), lr, lr_decay, eps]
    cdef int status
    spans.ready(1)
    with nogil:
        status = fnn_optim_adagrad(spans.dtype, spans.table, spans.count, &options)
    spans.finish(status)


def optim_adadelta(Spans spans, tuple penalty, double lr, double rho, double eps):
    """s = rho s + (1 - rho) g^2; d = g sqrt((h + eps) / (s + eps)); h = rho h + (1 - rho) d^2; w -= lr d."""
    cdef fnn_adadelta options = [penalty_of(penalty), lr, rho, eps]
    cdef int status
    spans.ready(2)
    with nogil:
        status = fnn_optim_adadelta(spans.dtype, spans.table, spans.count, &options)
    spans.finish(status)


def optim_rmsprop(Spans spans, tuple penalty, double lr, double alpha, double eps, double momentum, bint centered):
    """s = alpha s + (1 - alpha) g^2; w -= lr g / (sqrt(s) + eps); momentum and centring where states are given."""
    cdef fnn_rmsprop options = [penalty_of(penalty), lr, alpha, eps, momentum, centered]
    cdef int status
    spans.ready(1)
    with nogil:
        status = fnn_optim_rmsprop(spans.dtype, spans.table, spans.count, &options)
    spans.finish(status)


def optim_adam(Spans spans, tuple penalty, double lr, double beta1, double beta2, double eps, bint amsgrad,
               bint eps_inside):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w -= lr m' / (sqrt(v') + eps), bias-corrected."""
    cdef fnn_adam options = [penalty_of(penalty), lr, beta1, beta2, eps, amsgrad, eps_inside]
    cdef int status
    spans.ready(2)
    with nogil:
        status = fnn_optim_adam(spans.dtype, spans.table, spans.count, &options)
    spans.finish(status)


def optim_nadam(Spans spans, tuple penalty, double lr, double beta1, double beta2, double eps, double momentum_decay):
    """Adam with Nesterov's momentum, whose coefficient grows with the steps."""
    cdef fnn_betas options = [penalty_of(penalty), lr, beta1, beta2, eps, momentum_decay, False]
    cdef int status
    spans.ready(2)
    with nogil:
        status = fnn_optim_nadam(spans.dtype, spans.table, spans.count, &options)
    spans.finish(status)


def optim_radam(Spans spans, tuple penalty, double lr, double beta1, double beta2, double eps):
    """Adam with a rectified rate; plain momentum while the second moment is not to be relied on."""
    cdef fnn_betas options = [penalty_of(penalty), lr, beta1, beta2, eps, 0, False]
    cdef int status
    spans.ready(2)
    with nogil:
        status = fnn_optim_radam(spans.dtype, spans.table, spans.count, &options)
    spans.finish(status)


def optim_adamax(Spans spans, tuple penalty, double lr, double beta1, double beta2, double eps):
    """m as Adam; u = max(beta2 u, |g| + eps); w -= lr / (1 - beta1^t) m / u."""
    cdef fnn_betas options = [penalty_of(penalty), lr, beta1, beta2, eps, 0, False]
    cdef int status
    spans.ready(2)
    with nogil:
        status = fnn_optim_adamax(spans.dtype, spans.table, spans.count, &options)
    spans.finish(status)


def optim_lion(Spans spans, tuple penalty, double lr, double beta1, double beta2):
    """w -= lr sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2) g."""
    cdef fnn_betas options = [penalty_of(penalty), lr, beta1, beta2, 0, 0, False]
    cdef int status
    spans.ready(1)
    with nogil:
        status = fnn_optim_lion(spans.dtype, spans.table, spans.count, &options)
    spans.finish(status)


def optim_lamb(Spans spans, tuple penalty, double lr, double beta1, double beta2, double eps, bint adapt):
    """r = m' / (sqrt(v') + eps) + weight_decay w; w -= lr |w| / |r| r, or lr r where not adapted."""
    cdef fnn_betas options = [penalty_of(penalty), lr, beta1, beta2, eps, 0, adapt]
    cdef int status
    spans.ready(2)
    with nogil:
        status = fnn_optim_lamb(spans.dtype, spans.table, spans.count, &options)
    spans.finish(status)


def optim_sum_squares(Spans spans):
    """The sum of the squares of all elements of the arrays of `spans`."""
    cdef double total = 0
    cdef int status
    with nogil:
        status = fnn_optim_sum_squares(spans.dtype, spans.table, spans.count, &total)
    done(status)
    return total


def optim_nonfinite(Spans spans):
    """Whether an element of the arrays of `spans` is infinite or NaN."""
    cdef c_bool found = False
    cdef int status
    with nogil:
        status = fnn_optim_nonfinite(spans.dtype, spans.table, spans.count, &found)
    done(status)
    return found


def optim_scale(Spans spans, double factor):
    """Multiply the arrays of `spans` by `factor`."""
    cdef int status
    with nogil:
        status = fnn_optim_scale(spans.dtype, spans.table, spans.count, factor)
    done(status)


def optim_clamp(Spans spans, double limit):
    """Bring every element of the arrays of `spans` into [-limit, limit]."""
    cdef int status
    with nogil:
        status = fnn_optim_clamp(spans.dtype, spans.table, spans.count, limit)
    done(status)


def optim_mix(Spans spans, double keep, double add):
    """w = keep w + add g for the arrays w of `spans` and those they are aimed at, g."""
    cdef int status
    spans.ready(0)
    with nogil:
        status = fnn_optim_mix(spans.dtype, spans.table, spans.count, keep, add)
    spans.finish(status)
