# activation.pxi - pointwise activations, PReLU, softmax.

cdef extern from "lists.h" nogil:
    enum: FNN_ACTIVATIONS
    const char *fnn_activation_name(int code)
    c_bool fnn_activation_saves_output(int code)

cdef extern from "fnn.h" nogil:
    int fnn_activation_fwd(int dtype, int code, int64_t n, const void *x, void *y, double a, double b, double c)
    int fnn_activation_bwd(int dtype, int code, int64_t n, const void *dy, const void *saved, void *dx, double a,
                           double b, double c)
    int fnn_prelu_fwd(int dtype, int64_t rows, int64_t channels, const void *x, const void *w, void *y)
    int fnn_prelu_bwd(int dtype, int64_t rows, int64_t channels, const void *dy, const void *x, const void *w, void *dx,
                      void *dw)
    int fnn_softmax_fwd(int dtype, c_bool log, int64_t outer, int64_t classes, int64_t inner, const void *x, void *y)
    int fnn_softmax_bwd(int dtype, c_bool log, int64_t outer, int64_t classes, int64_t inner, const void *dy,
                        const void *y, void *dx)

ACTIVATIONS = {fnn_activation_name(code).decode(): code for code in range(FNN_ACTIVATIONS)}
"""Code of every activation by its name in activations.def."""

ACTIVATIONS_FROM_OUTPUT = frozenset(name for name, code in ACTIVATIONS.items() if fnn_activation_saves_output(code))
"""Those whose backward pass takes the output; the others take the input."""


cdef inline int activation_code(int code) except -1:
    if not 0 <= code < FNN_ACTIVATIONS:
        raise ValueError(f"activation: expected a code below {FNN_ACTIVATIONS}, got {code}")
    return code


def activation_fwd(int code, cnp.ndarray x, cnp.ndarray y, double a=0, double b=0, double c=0):
    """y = f(x) for dense arrays of one memory order."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef const void *xp = dense(x, x, dtype, "x", False)
    cdef void *yp = dense(y, x, dtype, "y", True)
    cdef int64_t n = cnp.PyArray_SIZE(x)
    activation_code(code)
    with nogil:
        status = fnn_activation_fwd(dtype, code, n, xp, yp, a, b, c)
    done(status)


def activation_bwd(int code, cnp.ndarray dy, cnp.ndarray saved, cnp.ndarray dx, double a=0, double b=0, double c=0):
    """dx = dy f'(x) for dense arrays of one memory order."""
    cdef int dtype = real_dtype(saved, "saved"), status
    cdef const void *sp = dense(saved, saved, dtype, "saved", False)
    cdef const void *dyp = dense(dy, saved, dtype, "dy", False)
    cdef void *dxp = dense(dx, saved, dtype, "dx", True)
    cdef int64_t n = cnp.PyArray_SIZE(saved)
    activation_code(code)
    with nogil:
        status = fnn_activation_bwd(dtype, code, n, dyp, sp, dxp, a, b, c)
    done(status)


def prelu_fwd(cnp.ndarray x, cnp.ndarray w, cnp.ndarray y):
    """y = x where positive, else w x; x (..., channels), w (channels,)."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t channels = cnp.PyArray_SIZE(w), n = cnp.PyArray_SIZE(x)
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *wp = source(w, dtype, "w")
    cdef void *yp = target(y, dtype, "y", n)
    if channels == 0 or n % channels:
        raise ValueError(f"prelu: {channels} slopes do not fit {n} elements")
    with nogil:
        status = fnn_prelu_fwd(dtype, n // channels, channels, xp, wp, yp)
    done(status)


def prelu_bwd(cnp.ndarray dy, cnp.ndarray x, cnp.ndarray w, cnp.ndarray dx, cnp.ndarray dw):
    """Gradients of `prelu_fwd` with respect to x and w."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t channels = cnp.PyArray_SIZE(w), n = cnp.PyArray_SIZE(x)
    cdef const void *dyp = source(dy, dtype, "dy", n)
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *wp = source(w, dtype, "w")
    cdef void *dxp = target(dx, dtype, "dx", n)
    cdef void *dwp = target(dw, dtype, "dw", channels)
    if channels == 0 or n % channels:
        raise ValueError(f"prelu: {channels} slopes do not fit {n} elements")
    with nogil:
        status = fnn_prelu_bwd(dtype, n // channels, channels, dyp, xp, wp, dxp, dwp)
    done(status)


cdef int middle(cnp.ndarray x, int axis, int64_t *outer, int64_t *classes, int64_t *inner) except -1:
    """The shape of x as (outer, classes, inner) around an axis."""
    cdef int i, ndim = cnp.PyArray_NDIM(x)
    if not 0 <= axis < ndim:
        raise ValueError(f"softmax: expected an axis below {ndim}, got {axis}")
    outer[0] = inner[0] = 1
    for i in range(axis):
        outer[0] *= cnp.PyArray_DIM(x, i)
    for i in range(axis + 1, ndim):
        inner[0] *= cnp.PyArray_DIM(x, i)
    classes[0] = cnp.PyArray_DIM(x, axis)
    return 0


def softmax_fwd(bint log, cnp.ndarray x, int axis, cnp.ndarray y):
    """y = softmax(x) or log-softmax along an axis of C-contiguous arrays."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t outer, classes, inner
    cdef const void *xp = source(x, dtype, "x")
    cdef void *yp = target(y, dtype, "y", cnp.PyArray_SIZE(x))
    middle(x, axis, &outer, &classes, &inner)
    with nogil:
        status = fnn_softmax_fwd(dtype, log, outer, classes, inner, xp, yp)
    done(status)


def softmax_bwd(bint log, cnp.ndarray dy, cnp.ndarray y, int axis, cnp.ndarray dx):
    """Gradient of `softmax_fwd` from its output."""
    cdef int dtype = real_dtype(y, "y"), status
    cdef int64_t outer, classes, inner
    cdef const void *yp = source(y, dtype, "y")
    cdef const void *dyp = source(dy, dtype, "dy", cnp.PyArray_SIZE(y))
    cdef void *dxp = target(dx, dtype, "dx", cnp.PyArray_SIZE(y))
    middle(y, axis, &outer, &classes, &inner)
    with nogil:
        status = fnn_softmax_bwd(dtype, log, outer, classes, inner, dyp, yp, dxp)
    done(status)
