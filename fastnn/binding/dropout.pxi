# dropout.pxi - dropout and uniform numbers from the counter-based generator.

cdef extern from "fnn.h" nogil:
    int fnn_dropout(int dtype, int64_t n, const void *x, uint64_t seed, uint64_t stream, uint32_t threshold,
                    double scale, void *y)
    int fnn_feature_dropout(int dtype, int64_t images, int64_t spatial, int64_t channels, const void *x,
                            const void *factor, void *y)
    int fnn_random_uniform(int dtype, int64_t n, uint64_t seed, uint64_t stream, double low, double high, void *y)
    int fnn_random_normal(int dtype, int64_t n, uint64_t seed, uint64_t stream, double mean, double deviation, void *y)
    int fnn_random_samples(int dtype, int64_t n, int64_t count, uint64_t seed, uint64_t epoch, uint64_t call,
                           const uint64_t *sample, double *y)


def dropout(cnp.ndarray x, uint64_t seed, uint64_t stream, uint32_t threshold, double scale, cnp.ndarray y):
    """y[i] = scale x[i] where word i of the stream reaches the threshold, else 0; i counts memory positions."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef const void *xp = dense(x, x, dtype, "x", False)
    cdef void *yp = dense(y, x, dtype, "y", True)
    cdef int64_t n = cnp.PyArray_SIZE(x)
    with nogil:
        status = fnn_dropout(dtype, n, xp, seed, stream, threshold, scale, yp)
    done(status)


def feature_dropout(cnp.ndarray x, cnp.ndarray factor, cnp.ndarray y):
    """y[n, ..., c] = x[n, ..., c] factor[n, c], 0 where the factor is; C-contiguous, factor (images, channels)."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t n = cnp.PyArray_SIZE(x)
    if cnp.PyArray_NDIM(factor) != 2:
        raise ValueError("feature_dropout: expected a factor of two dimensions")
    cdef int64_t images = factor.shape[0], channels = factor.shape[1]
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *fp = source(factor, dtype, "factor")
    cdef void *yp = target(y, dtype, "y", n)
    if images * channels == 0 or n % (images * channels):
        raise ValueError(f"feature_dropout: factors {(<object>factor).shape} do not fit {n} elements")
    with nogil:
        status = fnn_feature_dropout(dtype, images, n // (images * channels), channels, xp, fp, yp)
    done(status)


def random_uniform(cnp.ndarray y, uint64_t seed, uint64_t stream, double low=0, double high=1):
    """Fills y, in memory order, with uniform numbers in [low, high) as reference/random.py defines them."""
    cdef int dtype = real_dtype(y, "y"), status
    cdef void *yp = dense(y, y, dtype, "y", True)
    cdef int64_t n = cnp.PyArray_SIZE(y)
    with nogil:
        status = fnn_random_uniform(dtype, n, seed, stream, low, high, yp)
    done(status)


def random_normal(cnp.ndarray y, uint64_t seed, uint64_t stream, double mean=0, double deviation=1):
    """Fills y, in memory order, with normal numbers as reference/random.py defines them."""
    cdef int dtype = real_dtype(y, "y"), status
    cdef void *yp = dense(y, y, dtype, "y", True)
    cdef int64_t n = cnp.PyArray_SIZE(y)
    with nogil:
        status = fnn_random_normal(dtype, n, seed, stream, mean, deviation, yp)
    done(status)


def random_samples(cnp.ndarray samples, uint64_t seed, uint64_t epoch, uint64_t call, cnp.ndarray y):
    """y[i, j] = number j of samples[i], float64 in [0, 1), as `fastnn.random.SampleGenerator` defines it."""
    cdef int status
    if cnp.PyArray_NDIM(y) != 2:
        raise ValueError("random_samples: expected y of two dimensions")
    cdef int64_t n = y.shape[0], count = y.shape[1]
    cdef const uint64_t *sp = <const uint64_t *>checked(samples, cnp.NPY_UINT64, "samples", n, False)
    cdef double *yp = <double *>checked(y, cnp.NPY_FLOAT64, "y", -1, True)
    with nogil:
        status = fnn_random_samples(FNN_F64, n, count, seed, epoch, call, sp, yp)
    done(status)
