# conv.pxi - convolutions. Images are (n, depth, height, width, channels), weights (k, c / groups, kd, kh, kw).

cdef extern from "fnn.h" nogil:
    enum: FNN_CONV_AUTO, FNN_CONV_IM2COL, FNN_CONV_DIRECT, FNN_CONV_WINOGRAD, FNN_CONV_BF16
    ctypedef struct fnn_conv_shape:
        int64_t n, c, k, groups
        int64_t inside "in"[3]
        int64_t out[3]
        int64_t kernel[3]
        int64_t stride[3]
        int64_t pad[3]
        int64_t dilation[3]
    enum: FNN_NO_ACTIVATION
    ctypedef struct fnn_epilogue:
        const void *bias
        const void *residual
        int activation
        double a, b, c
    int fnn_conv_prepare(int dtype, const fnn_conv_shape *s, int algorithm, const void *w, void *prepared,
                         int64_t *reals)
    int fnn_conv_fwd(int dtype, const fnn_conv_shape *s, int algorithm, const void *x, const void *w,
                     const void *prepared, const fnn_epilogue *e, void *y, double *moments, c_bool *measured)
    int fnn_conv_bwd_x(int dtype, const fnn_conv_shape *s, int algorithm, const void *dy, const void *w, void *dx,
                       bint add)
    int fnn_conv_bwd(int dtype, const fnn_conv_shape *s, int algorithm, const void *dy, const void *x, const void *w,
                     void *dx, bint add, void *dw)
    int fnn_conv_bwd_w(int dtype, const fnn_conv_shape *s, int algorithm, const void *dy, const void *x, void *dw)

CONV_ALGORITHMS = {"auto": FNN_CONV_AUTO, "im2col": FNN_CONV_IM2COL, "direct": FNN_CONV_DIRECT,
                   "winograd": FNN_CONV_WINOGRAD}
CONV_BF16 = FNN_CONV_BF16


cdef int conv_shape(fnn_conv_shape *s, cnp.ndarray x, cnp.ndarray w, cnp.ndarray y, tuple stride, tuple pad,
                    tuple dilation, int64_t groups) except -1:
    """The shape struct of a convolution, checked so that no kernel reads or writes outside its arrays."""
    cdef int i
    cdef int64_t reach
    if cnp.PyArray_NDIM(x) != 5 or cnp.PyArray_NDIM(w) != 5 or cnp.PyArray_NDIM(y) != 5:
        raise ValueError("conv: expected x, w and y of five dimensions")
    if groups < 1 or x.shape[4] % groups or w.shape[0] % groups:
        raise ValueError(f"conv: {x.shape[4]} and {w.shape[0]} channels do not divide into {groups} groups")
    if w.shape[1] * groups != x.shape[4] or y.shape[4] != w.shape[0] or y.shape[0] != x.shape[0]:
        raise ValueError(f"conv: shapes {(<object>x).shape}, {(<object>w).shape}, {(<object>y).shape} do not "
                         f"belong together with groups={groups}")
    s.n, s.c, s.k, s.groups = x.shape[0], x.shape[4], w.shape[0], groups
    for i in range(3):
        s.inside[i], s.out[i], s.kernel[i] = x.shape[1 + i], y.shape[1 + i], w.shape[2 + i]
        s.stride[i], s.pad[i], s.dilation[i] = stride[i], pad[i], dilation[i]
        if s.stride[i] < 1 or s.dilation[i] < 1 or s.pad[i] < 0 or s.kernel[i] < 1:
            raise ValueError(f"conv: bad geometry stride={stride}, padding={pad}, dilation={dilation}")
        # The last output may see past the input by the padding at the end, which may differ from that before.
        reach = (s.out[i] - 1) * s.stride[i] + (s.kernel[i] - 1) * s.dilation[i] + 1
        if s.out[i] > 0 and reach > s.inside[i] + s.pad[i] + (s.kernel[i] - 1) * s.dilation[i] + s.pad[i] + 1:
            raise ValueError(f"conv: output size {y.shape[1 + i]} does not fit input size {x.shape[1 + i]}")
    return 0


cdef int epilogue_of(fnn_epilogue *e, int dtype, cnp.ndarray bias, cnp.ndarray residual, int activation,
                     tuple parameters, int64_t channels, int64_t size) except -1:
    """The epilogue struct for an output of `size` elements; bias and residual may be None."""
    if activation != FNN_NO_ACTIVATION and not 0 <= activation < FNN_ACTIVATIONS:
        raise ValueError(f"conv: there is no activation {activation}")
    e.bias = NULL if bias is None else source(bias, dtype, "bias", channels)
    e.residual = NULL if residual is None else source(residual, dtype, "residual", size)
    e.activation = activation
    e.a, e.b, e.c = parameters
    return 0


def conv_prepare(cnp.ndarray x, cnp.ndarray w, cnp.ndarray y, tuple stride, tuple pad, tuple dilation,
                 int64_t groups, int algorithm=FNN_CONV_AUTO):
    """The filters as conv_fwd reads them for these shapes at this level, or None where it reads them as they are."""
    cdef fnn_conv_shape s
    cdef int dtype = real_dtype(w, "w"), status
    cdef int64_t reals
    conv_shape(&s, x, w, y, stride, pad, dilation, groups)
    cdef const void *wp = source(w, dtype, "w")
    done(fnn_conv_prepare(dtype, &s, algorithm, wp, NULL, &reals))
    if reals == 0:
        return None
    cdef cnp.ndarray prepared = empty((reals,), w.dtype)
    cdef void *to = target(prepared, dtype, "prepared", reals)
    with nogil:
        status = fnn_conv_prepare(dtype, &s, algorithm, wp, to, &reals)
    done(status)
    return prepared


def conv_fwd(cnp.ndarray x, cnp.ndarray w, cnp.ndarray bias, cnp.ndarray y, tuple stride, tuple pad, tuple dilation,
             int64_t groups, int algorithm=FNN_CONV_AUTO, cnp.ndarray prepared=None, cnp.ndarray residual=None,
             int activation=FNN_NO_ACTIVATION, tuple parameters=(0.0, 0.0, 0.0), cnp.ndarray moments=None):
    """y = activation(correlation of x with w + bias + residual), what is None or -1 left out.

    `moments` (2, channels), float64, receives mean and variance of every channel of y if the algorithm finds them in
    passing: then the result is True.

    `prepared` is what conv_prepare gave for the same shapes and algorithm at the same level; it saves the work, and
    changes no bit.
    """
    cdef fnn_conv_shape s
    cdef fnn_epilogue e
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t reals
    conv_shape(&s, x, w, y, stride, pad, dilation, groups)
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *wp = source(w, dtype, "w")
    cdef const void *pp = NULL
    cdef void *yp = target(y, dtype, "y")
    cdef double *mp = norm_statistic(moments, "moments", 2 * s.k, True) if moments is not None else NULL
    cdef c_bool measured = False
    epilogue_of(&e, dtype, bias, residual, activation, parameters, s.k, cnp.PyArray_SIZE(y))
    if prepared is not None:
        done(fnn_conv_prepare(dtype, &s, algorithm, wp, NULL, &reals))
        pp = source(prepared, dtype, "prepared", reals)
    with nogil:
        status = fnn_conv_fwd(dtype, &s, algorithm, xp, wp, pp, &e, yp, mp, &measured)
    done(status)
    return bool(measured)


def conv_bwd_x(cnp.ndarray dy, cnp.ndarray w, cnp.ndarray dx, tuple stride, tuple pad, tuple dilation,
               int64_t groups, int algorithm=FNN_CONV_AUTO, bint add=False):
    """dx = gradient of the input of conv_fwd; with `add`, dx += it."""
    cdef fnn_conv_shape s
    cdef int dtype = real_dtype(dy, "dy"), status
    conv_shape(&s, dx, w, dy, stride, pad, dilation, groups)
    cdef const void *gp = source(dy, dtype, "dy")
    cdef const void *wp = source(w, dtype, "w")
    cdef void *xp = target(dx, dtype, "dx")
    with nogil:
        status = fnn_conv_bwd_x(dtype, &s, algorithm, gp, wp, xp, add)
    done(status)


def conv_bwd_w(cnp.ndarray dy, cnp.ndarray x, cnp.ndarray dw, tuple stride, tuple pad, tuple dilation,
               int64_t groups, int algorithm=FNN_CONV_AUTO):
    """dw = gradient of the weights of conv_fwd."""
    cdef fnn_conv_shape s
    cdef int dtype = real_dtype(dy, "dy"), status
    conv_shape(&s, x, dw, dy, stride, pad, dilation, groups)
    cdef const void *gp = source(dy, dtype, "dy")
    cdef const void *xp = source(x, dtype, "x")
    cdef void *wp = target(dw, dtype, "dw")
    with nogil:
        status = fnn_conv_bwd_w(dtype, &s, algorithm, gp, xp, wp)
    done(status)


def conv_bwd(cnp.ndarray dy, cnp.ndarray x, cnp.ndarray w, cnp.ndarray dx, cnp.ndarray dw, tuple stride, tuple pad,
             tuple dilation, int64_t groups, int algorithm=FNN_CONV_AUTO, bint add=False):
    """Both gradients, as conv_bwd_x and conv_bwd_w give them; together, where that is quicker, dw is rounded otherwise."""
    cdef fnn_conv_shape s
    cdef int dtype = real_dtype(dy, "dy"), status
    conv_shape(&s, x, w, dy, stride, pad, dilation, groups)
    cdef const void *gp = source(dy, dtype, "dy")
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *wp = source(w, dtype, "w")
    cdef void *to = target(dx, dtype, "dx", cnp.PyArray_SIZE(x))
    cdef void *filters = target(dw, dtype, "dw", cnp.PyArray_SIZE(w))
    with nogil:
        status = fnn_conv_bwd(dtype, &s, algorithm, gp, xp, wp, to, add, filters)
    done(status)
