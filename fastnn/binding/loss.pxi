# loss.pxi - cross-entropy, and losses of an element and its target.

cdef extern from "lists.h" nogil:
    enum: FNN_LOSSES
    const char *fnn_pointwise_loss_name(int code)

cdef extern from "fnn.h" nogil:
    int fnn_cross_entropy_fwd(int dtype, int64_t rows, int64_t classes, const void *x, const int64_t *target,
                              const void *soft, const void *weight, int64_t ignored, double smoothing, void *loss,
                              void *top, void *inverse, double *sums)
    int fnn_cross_entropy_bwd(int dtype, int64_t rows, int64_t classes, const void *dy, int64_t dy_step, double scale,
                              const void *x, const int64_t *target, const void *soft, const void *weight,
                              int64_t ignored, double smoothing, const void *top, const void *inverse, void *dx)
    int fnn_pointwise_loss_fwd(int dtype, int code, int64_t n, const void *x, const void *t, double a, void *y)
    int fnn_pointwise_loss_sum(int dtype, int code, int64_t n, const void *x, const void *t, double a, double *total)
    int fnn_pointwise_loss_bwd(int dtype, int code, int64_t n, const void *dy, double scale, const void *x,
                               const void *t, double a, void *dx)

POINTWISE_LOSSES = {fnn_pointwise_loss_name(code).decode(): code for code in range(FNN_LOSSES)}
"""Code of every pointwise loss by its name in losses.def."""


cdef class _Targets:
    """What cross-entropy is given beside the logits, checked: class indices or distributions, weights."""
    cdef int64_t rows, classes
    cdef const int64_t *index
    cdef const void *soft
    cdef const void *weight


cdef _Targets checked_targets(cnp.ndarray x, cnp.ndarray labels, cnp.ndarray weight, int dtype):
    cdef _Targets t = _Targets.__new__(_Targets)
    if cnp.PyArray_NDIM(x) != 2:
        raise ValueError(f"cross_entropy: expected logits of two dimensions, got shape {(<object>x).shape}")
    t.rows, t.classes = x.shape[0], x.shape[1]
    if cnp.PyArray_TYPE(labels) == cnp.NPY_INT64:
        t.index = <const int64_t *>checked(labels, cnp.NPY_INT64, "target", t.rows, False)
    else:
        t.soft = source(labels, dtype, "target", t.rows * t.classes)
    if weight is not None:
        t.weight = source(weight, dtype, "weight", t.classes)
    return t


def first_bad_target(cnp.ndarray labels, int64_t classes, int64_t ignored):
    """Position of the first int64 target that is neither below `classes` nor `ignored`, -1 if there is none."""
    cdef const int64_t *t = <const int64_t *>checked(labels, cnp.NPY_INT64, "target", -1, False)
    cdef int64_t i, n = cnp.PyArray_SIZE(labels)
    with nogil:
        for i in range(n):
            if (t[i] < 0 or t[i] >= classes) and t[i] != ignored:
                break
        else:
            i = -1
    return i


def cross_entropy_fwd(cnp.ndarray x, cnp.ndarray labels, cnp.ndarray weight, int64_t ignored, double smoothing,
                      cnp.ndarray left):
    """Fills `left` (3, rows): the losses, and two lines for the backward pass; the sums of loss and of what counted."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef _Targets t = checked_targets(x, labels, weight, dtype)
    cdef const void *xp = source(x, dtype, "x")
    cdef char *loss = <char *>target(left, dtype, "left", 3 * t.rows)
    cdef int64_t line = t.rows * cnp.PyArray_ITEMSIZE(left)
    cdef double sums[2]
    with nogil:
        status = fnn_cross_entropy_fwd(dtype, t.rows, t.classes, xp, t.index, t.soft, t.weight, ignored, smoothing,
                                       loss, loss + line, loss + 2 * line, sums)
    done(status)
    return sums[0], sums[1]


def cross_entropy_bwd(cnp.ndarray dy, double scale, cnp.ndarray x, cnp.ndarray labels, cnp.ndarray weight,
                      int64_t ignored, double smoothing, cnp.ndarray left, cnp.ndarray dx):
    """Gradient of the logits, `scale` times dy, which has one element or one for each row."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef _Targets t = checked_targets(x, labels, weight, dtype)
    cdef int64_t step = 0 if cnp.PyArray_SIZE(dy) == 1 else 1
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *dyp = source(dy, dtype, "dy", t.rows if step else 1)
    cdef const char *loss = <const char *>source(left, dtype, "left", 3 * t.rows)
    cdef int64_t line = t.rows * cnp.PyArray_ITEMSIZE(left)
    cdef void *dxp = target(dx, dtype, "dx", t.rows * t.classes)
    with nogil:
        status = fnn_cross_entropy_bwd(dtype, t.rows, t.classes, dyp, step, scale, xp, t.index, t.soft, t.weight,
                                       ignored, smoothing, loss + line, loss + 2 * line, dxp)
    done(status)


cdef inline int loss_code(int code) except -1:
    if not 0 <= code < FNN_LOSSES:
        raise ValueError(f"pointwise_loss: expected a code below {FNN_LOSSES}, got {code}")
    return code


def pointwise_loss_fwd(int code, cnp.ndarray x, cnp.ndarray t, cnp.ndarray y, double a=0):
    """y = loss(x, t) for dense arrays of one memory order."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef const void *xp = dense(x, x, dtype, "x", False)
    cdef const void *tp = dense(t, x, dtype, "t", False)
    cdef void *yp = dense(y, x, dtype, "y", True)
    cdef int64_t n = cnp.PyArray_SIZE(x)
    loss_code(code)
    with nogil:
        status = fnn_pointwise_loss_fwd(dtype, code, n, xp, tp, a, yp)
    done(status)


def pointwise_loss_sum(int code, cnp.ndarray x, cnp.ndarray t, double a=0):
    """The sum of loss(x, t) over all elements, as a Python float."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef const void *xp = dense(x, x, dtype, "x", False)
    cdef const void *tp = dense(t, x, dtype, "t", False)
    cdef int64_t n = cnp.PyArray_SIZE(x)
    cdef double total = 0
    loss_code(code)
    with nogil:
        status = fnn_pointwise_loss_sum(dtype, code, n, xp, tp, a, &total)
    done(status)
    return total


def pointwise_loss_bwd(int code, cnp.ndarray dy, double scale, cnp.ndarray x, cnp.ndarray t, cnp.ndarray dx,
                       double a=0):
    """dx = scale dy loss'(x, t); dy is None for ones, else dense like x."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef const void *xp = dense(x, x, dtype, "x", False)
    cdef const void *tp = dense(t, x, dtype, "t", False)
    cdef const void *dyp = NULL
    cdef void *dxp = dense(dx, x, dtype, "dx", True)
    cdef int64_t n = cnp.PyArray_SIZE(x)
    if dy is not None:
        dyp = dense(dy, x, dtype, "dy", False)
    loss_code(code)
    with nogil:
        status = fnn_pointwise_loss_bwd(dtype, code, n, dyp, scale, xp, tp, a, dxp)
    done(status)
