# pool.pxi - maximum and average pooling of channels-last arrays (n, *spatial, c), one to three spatial axes.

cdef extern from "fnn.h" nogil:
    ctypedef struct fnn_pool_shape:
        int64_t n, c, divisor
        c_bool include_pad, adaptive, relu
        int64_t[3] spatial_in "in"
        int64_t[3] out
        int64_t[3] kernel
        int64_t[3] stride
        int64_t[3] pad
        int64_t[3] dilation
    int fnn_pool_max_fwd(int dtype, const fnn_pool_shape *shape, const void *x, void *y)
    int fnn_pool_max_index(int dtype, const fnn_pool_shape *shape, const void *x, const void *y, int64_t *index)
    int fnn_pool_max_bwd(int dtype, const fnn_pool_shape *shape, const void *dy, const void *x, const void *y,
                         void *dx)
    int fnn_pool_avg_fwd(int dtype, const fnn_pool_shape *shape, const void *x, void *y)
    int fnn_pool_avg_bwd(int dtype, const fnn_pool_shape *shape, const void *dy, void *dx)


cdef int pool_shape(fnn_pool_shape *s, cnp.ndarray x, cnp.ndarray y, tuple window) except -1:
    """Fills the shape of pooling x to y. `window`: (kernel, stride, pad, dilation), each one int per axis, or ()
    for adaptive bins. Whatever the numbers, the taps that the kernels visit lie inside x."""
    cdef int ndim = cnp.PyArray_NDIM(x), axes = ndim - 2, i, at
    cdef int64_t limit = 1 << 30
    if axes < 1 or axes > 3 or cnp.PyArray_NDIM(y) != ndim:
        raise ValueError(f"pool: expected x and y of 3 to 5 dimensions, got {ndim} and {cnp.PyArray_NDIM(y)}")
    s.n, s.c = x.shape[0], x.shape[ndim - 1]
    if y.shape[0] != s.n or y.shape[ndim - 1] != s.c:
        raise ValueError(f"pool: expected y with {s.n} images of {s.c} channels, got {(<object>y).shape}")
    if window and len(window) != 4:
        raise ValueError(f"pool: expected (kernel, stride, pad, dilation), got {window}")
    for part in window:
        if not isinstance(part, tuple) or len(part) != axes:
            raise ValueError(f"pool: expected {axes} sizes each of kernel, stride, pad and dilation, got {window}")
    s.divisor, s.include_pad, s.adaptive, s.relu = 0, True, len(window) == 0, False
    for i in range(3):
        at = i - (3 - axes)
        s.spatial_in[i] = x.shape[at + 1] if at >= 0 else 1
        s.out[i] = y.shape[at + 1] if at >= 0 else 1
        s.kernel[i] = s.stride[i] = s.dilation[i] = 1
        s.pad[i] = 0
        if at >= 0 and window:
            s.kernel[i], s.stride[i], s.pad[i], s.dilation[i] = (
                window[0][at], window[1][at], window[2][at], window[3][at])
        if not (0 < s.kernel[i] < limit and 0 < s.stride[i] < limit and 0 <= s.pad[i] < limit
                and 0 < s.dilation[i] < limit and s.out[i] < limit):
            raise ValueError(f"pool: expected positive sizes below 2**30, got {window}")
        if s.spatial_in[i] == 0 and s.n * s.c * s.out[i] != 0:
            raise ValueError(f"pool: expected an image to pool, got x of shape {(<object>x).shape}")
    return 0


def pool_max_fwd(cnp.ndarray x, cnp.ndarray y, tuple window, bint relu=False):
    """y = maximum of each window of x, or with `relu` that of its positive part."""
    cdef fnn_pool_shape shape
    cdef int dtype = real_dtype(x, "x"), status
    pool_shape(&shape, x, y, window)
    shape.relu = relu
    cdef const void *xp = source(x, dtype, "x")
    cdef void *yp = target(y, dtype, "y")
    with nogil:
        status = fnn_pool_max_fwd(dtype, &shape, xp, yp)
    done(status)


def pool_max_index(cnp.ndarray x, cnp.ndarray y, cnp.ndarray index, tuple window):
    """index (int64, like y) = position of each maximum in its plane of x."""
    cdef fnn_pool_shape shape
    cdef int dtype = real_dtype(x, "x"), status
    pool_shape(&shape, x, y, window)
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *yp = source(y, dtype, "y")
    cdef int64_t *ip = <int64_t *>checked(index, cnp.NPY_INT64, "index", cnp.PyArray_SIZE(y), True)
    with nogil:
        status = fnn_pool_max_index(dtype, &shape, xp, yp, ip)
    done(status)


def pool_max_bwd(cnp.ndarray dy, cnp.ndarray x, cnp.ndarray y, cnp.ndarray dx, tuple window, bint relu=False):
    """dx = dy at the maximum of each window, summed over windows; with `relu` only where that is positive."""
    cdef fnn_pool_shape shape
    cdef int dtype = real_dtype(x, "x"), status
    pool_shape(&shape, x, y, window)
    shape.relu = relu
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *yp = source(y, dtype, "y")
    cdef const void *dyp = source(dy, dtype, "dy", cnp.PyArray_SIZE(y))
    cdef void *dxp = target(dx, dtype, "dx", cnp.PyArray_SIZE(x))
    with nogil:
        status = fnn_pool_max_bwd(dtype, &shape, dyp, xp, yp, dxp)
    done(status)


cdef int pool_average(fnn_pool_shape *s, bint include_pad, int64_t divisor) except -1:
    """How averages count."""
    s.include_pad, s.divisor = include_pad, divisor
    return 0


def pool_avg_fwd(cnp.ndarray x, cnp.ndarray y, tuple window, bint include_pad=True, int64_t divisor=0):
    """y = average of each window of x; divisor 0: the number of taps, with or without those in the padding."""
    cdef fnn_pool_shape shape
    cdef int dtype = real_dtype(x, "x"), status
    pool_shape(&shape, x, y, window)
    pool_average(&shape, include_pad, divisor)
    cdef const void *xp = source(x, dtype, "x")
    cdef void *yp = target(y, dtype, "y")
    with nogil:
        status = fnn_pool_avg_fwd(dtype, &shape, xp, yp)
    done(status)


def pool_avg_bwd(cnp.ndarray dy, cnp.ndarray dx, tuple window, bint include_pad=True, int64_t divisor=0):
    """dx = each window's share of dy at its taps, summed over windows."""
    cdef fnn_pool_shape shape
    cdef int dtype = real_dtype(dy, "dy"), status
    pool_shape(&shape, dx, dy, window)
    pool_average(&shape, include_pad, divisor)
    cdef const void *dyp = source(dy, dtype, "dy")
    cdef void *dxp = target(dx, dtype, "dx")
    with nogil:
        status = fnn_pool_avg_bwd(dtype, &shape, dyp, dxp)
    done(status)
