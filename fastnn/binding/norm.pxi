# norm.pxi - batch, group, instance and layer norm. Statistics are float64.

from libc.math cimport sqrt

cdef extern from "fnn.h" nogil:
    int fnn_norm_batch_stats(int dtype, int64_t rows, int64_t c, const void *x, double eps, double *mean, double *rstd,
                             void *running_mean, void *running_var, double momentum)
    int fnn_norm_batch_measured(int dtype, double n, int64_t c, const double *mean, const double *variance, double eps,
                                double *rstd, void *running_mean, void *running_var, double momentum)
    int fnn_norm_batch_apply(int dtype, int64_t rows, int64_t c, const void *x, const void *residual, const void *w,
                            const void *b, c_bool relu, const double *mean, const double *rstd, void *y)
    int fnn_norm_batch_bwd(int dtype, int64_t rows, int64_t c, c_bool training, const void *dy, const void *x,
                           const void *y, const void *w, const void *b, c_bool relu, const double *mean,
                           const double *rstd, void *dx, void *dz, void *dw, void *db)
    int fnn_norm_activation_fwd(int dtype, int64_t rows, int64_t c, int code, double p, double q, double r,
                                const void *x, const void *w, const void *b, const double *mean, const double *rstd,
                                void *y)
    int fnn_norm_activation_bwd(int dtype, int64_t rows, int64_t c, c_bool training, int code, double p, double q,
                                double r, const void *dy, const void *x, const void *w, const void *b,
                                const double *mean, const double *rstd, void *dx, void *dw, void *db)
    ctypedef struct fnn_norm_pool:
        int64_t n, h, w, c, height, width
    int fnn_norm_pool_fwd(int dtype, const fnn_norm_pool *s, const void *x, const void *w, const void *b,
                          const double *mean, const double *rstd, void *y)
    int fnn_norm_pool_bwd(int dtype, const fnn_norm_pool *s, c_bool training, const void *dy, const void *x,
                          const void *w, const void *b, const double *mean, const double *rstd, void *dx, void *dw,
                          void *db)
    int fnn_norm_group_fwd(int dtype, int64_t n, int64_t rows, int64_t c, int64_t groups, const void *x,
                           const void *w, const void *b, double eps, void *y, double *mean, double *rstd)
    int fnn_norm_group_bwd(int dtype, int64_t n, int64_t rows, int64_t c, int64_t groups, const void *dy,
                           const void *x, const void *w, const double *mean, const double *rstd, void *dx, void *dw,
                           void *db)
    int fnn_norm_layer_fwd(int dtype, int64_t rows, int64_t c, const void *x, const void *w, const void *b,
                           double eps, void *y, double *mean, double *rstd)
    int fnn_norm_layer_bwd(int dtype, int64_t rows, int64_t c, const void *dy, const void *x, const void *w,
                           const double *mean, const double *rstd, void *dx, void *dw, void *db)


cdef inline void *norm_optional(cnp.ndarray array, int dtype, str name, int64_t size, bint write) except? NULL:
    """NULL for None."""
    if array is None:
        return NULL
    return target(array, dtype, name, size) if write else <void *>source(array, dtype, name, size)


cdef inline double *norm_statistic(cnp.ndarray array, str name, int64_t size, bint write) except NULL:
    return <double *>checked(array, cnp.NPY_FLOAT64, name, size, write)


cdef inline int64_t norm_rows(cnp.ndarray x, int64_t c) except -1:
    """How many rows of c elements x has."""
    cdef int64_t size = cnp.PyArray_SIZE(x)
    if c < 1 or size % c != 0:
        raise ValueError(f"norm: expected rows of {c} elements, got shape {(<object>x).shape}")
    return size // c


def norm_batch_stats(cnp.ndarray x, double eps, cnp.ndarray mean, cnp.ndarray rstd, cnp.ndarray running_mean,
                     cnp.ndarray running_var, double momentum):
    """Mean and inverse deviation of the columns of x (rows, c), c the length of `mean`; running statistics follow."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t c = cnp.PyArray_SIZE(mean), rows = norm_rows(x, c)
    cdef const void *xp = source(x, dtype, "x")
    cdef double *mean_p = norm_statistic(mean, "mean", c, True)
    cdef double *rstd_p = norm_statistic(rstd, "rstd", c, True)
    cdef void *running_mean_p = norm_optional(running_mean, dtype, "running_mean", c, True)
    cdef void *running_var_p = norm_optional(running_var, dtype, "running_var", c, True)
    with nogil:
        status = fnn_norm_batch_stats(dtype, rows, c, xp, eps, mean_p, rstd_p, running_mean_p, running_var_p,
                                      momentum)
    done(status)


def norm_batch_measured(cnp.ndarray moments, int64_t rows, double eps, cnp.ndarray rstd, cnp.ndarray running_mean,
                        cnp.ndarray running_var, double momentum):
    """The same from `moments` (2, c), mean and variance of each column of `rows` rows; rstd and the running statistics
    are written."""
    cdef int64_t c = cnp.PyArray_SIZE(rstd)
    cdef int dtype = FNN_F32 if running_mean is None and running_var is None else real_dtype(
        running_mean if running_mean is not None else running_var, "running statistics"), status
    cdef const double *mp = norm_statistic(moments, "moments", 2 * c, False)
    cdef double *rstd_p = norm_statistic(rstd, "rstd", c, True)
    cdef void *running_mean_p = norm_optional(running_mean, dtype, "running_mean", c, True)
    cdef void *running_var_p = norm_optional(running_var, dtype, "running_var", c, True)
    with nogil:
        status = fnn_norm_batch_measured(dtype, <double>rows, c, mp, mp + c, eps, rstd_p, running_mean_p,
                                         running_var_p, momentum)
    done(status)


def norm_batch_given(cnp.ndarray running_mean, cnp.ndarray running_var, double eps):
    """Running statistics as norm_batch_apply reads them: (mean, 1 / sqrt(var + eps)) in float64."""
    cdef int dtype = real_dtype(running_mean, "running_mean")
    cdef cnp.npy_intp channels = cnp.PyArray_SIZE(running_mean), i
    cdef const void *m = source(running_mean, dtype, "running_mean")
    cdef const void *v = source(running_var, dtype, "running_var", channels)
    cdef cnp.ndarray mean = cnp.PyArray_EMPTY(1, &channels, cnp.NPY_FLOAT64, 0)
    cdef cnp.ndarray rstd = cnp.PyArray_EMPTY(1, &channels, cnp.NPY_FLOAT64, 0)
    cdef double *mp = <double *>cnp.PyArray_DATA(mean)
    cdef double *rp = <double *>cnp.PyArray_DATA(rstd)
    for i in range(channels):
        mp[i] = (<const float *>m)[i] if dtype == FNN_F32 else (<const double *>m)[i]
        rp[i] = 1 / sqrt(((<const float *>v)[i] if dtype == FNN_F32 else (<const double *>v)[i]) + eps)
    return mean, rstd


def norm_batch_apply(cnp.ndarray x, cnp.ndarray residual, cnp.ndarray w, cnp.ndarray b, bint relu,
                    cnp.ndarray mean, cnp.ndarray rstd, cnp.ndarray y):
    """y = [relu](w (x - mean) rstd + b [+ residual])."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t c = cnp.PyArray_SIZE(mean), size = cnp.PyArray_SIZE(x), rows = norm_rows(x, c)
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *residual_p = norm_optional(residual, dtype, "residual", size, False)
    cdef const void *wp = norm_optional(w, dtype, "weight", c, False)
    cdef const void *bp = norm_optional(b, dtype, "bias", c, False)
    cdef const double *mean_p = norm_statistic(mean, "mean", c, False)
    cdef const double *rstd_p = norm_statistic(rstd, "rstd", c, False)
    cdef void *yp = target(y, dtype, "y", size)
    with nogil:
        status = fnn_norm_batch_apply(dtype, rows, c, xp, residual_p, wp, bp, relu, mean_p, rstd_p, yp)
    done(status)


def norm_batch_bwd(bint training, cnp.ndarray dy, cnp.ndarray x, cnp.ndarray y, cnp.ndarray w, cnp.ndarray b,
                   bint relu, cnp.ndarray mean, cnp.ndarray rstd, cnp.ndarray dx, cnp.ndarray dz, cnp.ndarray dw,
                   cnp.ndarray db):
    """Gradients of a batch norm. With a residual and a ReLU, y is the output and dz takes the residual's gradient;
    otherwise both are None. dz may be dy, and so may dx if there is no dz; dx may be x."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t c = cnp.PyArray_SIZE(mean), size = cnp.PyArray_SIZE(x), rows = norm_rows(x, c)
    if (y is None) != (dz is None) or (y is not None and not relu):
        raise ValueError("norm_batch_bwd: expected y and dz together, and only with relu")
    cdef const void *dyp = source(dy, dtype, "dy", size)
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *yp = norm_optional(y, dtype, "y", size, False)
    cdef const void *wp = norm_optional(w, dtype, "weight", c, False)
    cdef const void *bp = norm_optional(b, dtype, "bias", c, False)
    cdef const double *mean_p = norm_statistic(mean, "mean", c, False)
    cdef const double *rstd_p = norm_statistic(rstd, "rstd", c, False)
    cdef void *dxp = norm_optional(dx, dtype, "dx", size, True)
    cdef void *dzp = norm_optional(dz, dtype, "dz", size, True)
    cdef void *dwp = norm_optional(dw, dtype, "dw", c, True)
    cdef void *dbp = norm_optional(db, dtype, "db", c, True)
    with nogil:
        status = fnn_norm_batch_bwd(dtype, rows, c, training, dyp, xp, yp, wp, bp, relu, mean_p, rstd_p, dxp, dzp,
                                    dwp, dbp)
    done(status)


def norm_activation_fwd(int code, tuple parameters, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray mean,
                        cnp.ndarray rstd, cnp.ndarray y):
    """y = f(w (x - mean) rstd + b), f the activation of this code."""
    cdef int dtype = real_dtype(x, "x"), status, f = activation_code(code)
    cdef int64_t c = cnp.PyArray_SIZE(mean), size = cnp.PyArray_SIZE(x), rows = norm_rows(x, c)
    cdef double p, q, r
    p, q, r = parameters
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *wp = norm_optional(w, dtype, "weight", c, False)
    cdef const void *bp = norm_optional(b, dtype, "bias", c, False)
    cdef const double *mean_p = norm_statistic(mean, "mean", c, False)
    cdef const double *rstd_p = norm_statistic(rstd, "rstd", c, False)
    cdef void *yp = target(y, dtype, "y", size)
    with nogil:
        status = fnn_norm_activation_fwd(dtype, rows, c, f, p, q, r, xp, wp, bp, mean_p, rstd_p, yp)
    done(status)


def norm_activation_bwd(bint training, int code, tuple parameters, cnp.ndarray dy, cnp.ndarray x, cnp.ndarray w,
                        cnp.ndarray b, cnp.ndarray mean, cnp.ndarray rstd, cnp.ndarray dx, cnp.ndarray dw,
                        cnp.ndarray db):
    """Gradients of it; dx, dw and db may be None, and dx may be dy."""
    cdef int dtype = real_dtype(x, "x"), status, f = activation_code(code)
    cdef int64_t c = cnp.PyArray_SIZE(mean), size = cnp.PyArray_SIZE(x), rows = norm_rows(x, c)
    cdef double p, q, r
    p, q, r = parameters
    cdef const void *dyp = source(dy, dtype, "dy", size)
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *wp = norm_optional(w, dtype, "weight", c, False)
    cdef const void *bp = norm_optional(b, dtype, "bias", c, False)
    cdef const double *mean_p = norm_statistic(mean, "mean", c, False)
    cdef const double *rstd_p = norm_statistic(rstd, "rstd", c, False)
    cdef void *dxp = norm_optional(dx, dtype, "dx", size, True)
    cdef void *dwp = norm_optional(dw, dtype, "dw", c, True)
    cdef void *dbp = norm_optional(db, dtype, "db", c, True)
    with nogil:
        status = fnn_norm_activation_bwd(dtype, rows, c, training, f, p, q, r, dyp, xp, wp, bp, mean_p, rstd_p, dxp,
                                         dwp, dbp)
    done(status)


cdef fnn_norm_pool norm_pool_shape(cnp.ndarray x, cnp.ndarray mean, tuple window) except *:
    """x (n, h, w, c) and the height and width of the windows."""
    cdef fnn_norm_pool s
    if cnp.PyArray_NDIM(x) != 4 or cnp.PyArray_NDIM(mean) != 1 or mean.shape[0] != x.shape[3]:
        raise ValueError(f"norm_pool: expected x (n, h, w, c) and statistics (c,), got {(<object>x).shape} and "
                         f"{(<object>mean).shape}")
    s.n, s.h, s.w, s.c = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    s.height, s.width = window
    if not (0 < s.height < 1 << 15 and 0 < s.width < 1 << 15):
        raise ValueError(f"norm_pool: expected a window of positive sizes below 2**15, got {window}")
    return s


def norm_pool_fwd(cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray mean, cnp.ndarray rstd, cnp.ndarray y,
                  tuple window):
    """y = maximum of each window of relu(w (x - mean) rstd + b); windows neither overlap nor reach over the edge."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef fnn_norm_pool s = norm_pool_shape(x, mean, window)
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *wp = norm_optional(w, dtype, "weight", s.c, False)
    cdef const void *bp = norm_optional(b, dtype, "bias", s.c, False)
    cdef const double *mean_p = norm_statistic(mean, "mean", s.c, False)
    cdef const double *rstd_p = norm_statistic(rstd, "rstd", s.c, False)
    cdef void *yp = target(y, dtype, "y", s.n * (s.h // s.height) * (s.w // s.width) * s.c)
    with nogil:
        status = fnn_norm_pool_fwd(dtype, &s, xp, wp, bp, mean_p, rstd_p, yp)
    done(status)


def norm_pool_bwd(bint training, cnp.ndarray dy, cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, cnp.ndarray mean,
                  cnp.ndarray rstd, cnp.ndarray dx, cnp.ndarray dw, cnp.ndarray db, tuple window):
    """Gradients of it; dx, dw and db may be None."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef fnn_norm_pool s = norm_pool_shape(x, mean, window)
    cdef const void *dyp = source(dy, dtype, "dy", s.n * (s.h // s.height) * (s.w // s.width) * s.c)
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *wp = norm_optional(w, dtype, "weight", s.c, False)
    cdef const void *bp = norm_optional(b, dtype, "bias", s.c, False)
    cdef const double *mean_p = norm_statistic(mean, "mean", s.c, False)
    cdef const double *rstd_p = norm_statistic(rstd, "rstd", s.c, False)
    cdef void *dxp = norm_optional(dx, dtype, "dx", cnp.PyArray_SIZE(x), True)
    cdef void *dwp = norm_optional(dw, dtype, "dw", s.c, True)
    cdef void *dbp = norm_optional(db, dtype, "db", s.c, True)
    with nogil:
        status = fnn_norm_pool_bwd(dtype, &s, training, dyp, xp, wp, bp, mean_p, rstd_p, dxp, dwp, dbp)
    done(status)


cdef inline int64_t norm_group_check(cnp.ndarray x, cnp.ndarray mean, int64_t c) except -1:
    """The groups of x (n, ..., c), from statistics of shape (n, groups)."""
    if cnp.PyArray_NDIM(x) < 2 or cnp.PyArray_NDIM(mean) != 2 or x.shape[0] != mean.shape[0]:
        raise ValueError(f"norm_group: expected x (n, ..., c) and statistics (n, groups), got "
                         f"{(<object>x).shape} and {(<object>mean).shape}")
    cdef int64_t groups = mean.shape[1]
    if groups < 1 or c < 1 or c % groups != 0:
        raise ValueError(f"norm_group: expected groups that divide {c} channels, got {groups}")
    return groups


def norm_group_fwd(cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, double eps, cnp.ndarray y, cnp.ndarray mean,
                   cnp.ndarray rstd):
    """y = group norm of x (n, ..., c); mean and rstd (n, groups) are written."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t c = x.shape[cnp.PyArray_NDIM(x) - 1] if cnp.PyArray_NDIM(x) else 0
    cdef int64_t groups = norm_group_check(x, mean, c), n = x.shape[0], size = cnp.PyArray_SIZE(x)
    cdef int64_t rows = size // (n * c) if n else 0
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *wp = norm_optional(w, dtype, "weight", c, False)
    cdef const void *bp = norm_optional(b, dtype, "bias", c, False)
    cdef void *yp = target(y, dtype, "y", size)
    cdef double *mean_p = norm_statistic(mean, "mean", n * groups, True)
    cdef double *rstd_p = norm_statistic(rstd, "rstd", n * groups, True)
    with nogil:
        status = fnn_norm_group_fwd(dtype, n, rows, c, groups, xp, wp, bp, eps, yp, mean_p, rstd_p)
    done(status)


def norm_group_bwd(cnp.ndarray dy, cnp.ndarray x, cnp.ndarray w, cnp.ndarray mean, cnp.ndarray rstd,
                   cnp.ndarray dx, cnp.ndarray dw, cnp.ndarray db):
    """Gradients of norm_group_fwd; dx, dw and db may be None."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t c = x.shape[cnp.PyArray_NDIM(x) - 1] if cnp.PyArray_NDIM(x) else 0
    cdef int64_t groups = norm_group_check(x, mean, c), n = x.shape[0], size = cnp.PyArray_SIZE(x)
    cdef int64_t rows = size // (n * c) if n else 0
    cdef const void *dyp = source(dy, dtype, "dy", size)
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *wp = norm_optional(w, dtype, "weight", c, False)
    cdef const double *mean_p = norm_statistic(mean, "mean", n * groups, False)
    cdef const double *rstd_p = norm_statistic(rstd, "rstd", n * groups, False)
    cdef void *dxp = norm_optional(dx, dtype, "dx", size, True)
    cdef void *dwp = norm_optional(dw, dtype, "dw", c, True)
    cdef void *dbp = norm_optional(db, dtype, "db", c, True)
    with nogil:
        status = fnn_norm_group_bwd(dtype, n, rows, c, groups, dyp, xp, wp, mean_p, rstd_p, dxp, dwp, dbp)
    done(status)


def norm_layer_fwd(cnp.ndarray x, cnp.ndarray w, cnp.ndarray b, double eps, cnp.ndarray y, cnp.ndarray mean,
                   cnp.ndarray rstd, int64_t c):
    """y = layer norm of the rows of c elements of x; mean and rstd (rows) are written."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t rows = norm_rows(x, c), size = cnp.PyArray_SIZE(x)
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *wp = norm_optional(w, dtype, "weight", c, False)
    cdef const void *bp = norm_optional(b, dtype, "bias", c, False)
    cdef void *yp = target(y, dtype, "y", size)
    cdef double *mean_p = norm_statistic(mean, "mean", rows, True)
    cdef double *rstd_p = norm_statistic(rstd, "rstd", rows, True)
    with nogil:
        status = fnn_norm_layer_fwd(dtype, rows, c, xp, wp, bp, eps, yp, mean_p, rstd_p)
    done(status)


def norm_layer_bwd(cnp.ndarray dy, cnp.ndarray x, cnp.ndarray w, cnp.ndarray mean, cnp.ndarray rstd,
                   cnp.ndarray dx, cnp.ndarray dw, cnp.ndarray db, int64_t c):
    """Gradients of norm_layer_fwd; dw and db may be None."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t rows = norm_rows(x, c), size = cnp.PyArray_SIZE(x)
    cdef const void *dyp = source(dy, dtype, "dy", size)
    cdef const void *xp = source(x, dtype, "x")
    cdef const void *wp = norm_optional(w, dtype, "weight", c, False)
    cdef const double *mean_p = norm_statistic(mean, "mean", rows, False)
    cdef const double *rstd_p = norm_statistic(rstd, "rstd", rows, False)
    cdef void *dxp = target(dx, dtype, "dx", size)
    cdef void *dwp = norm_optional(dw, dtype, "dw", c, True)
    cdef void *dbp = norm_optional(db, dtype, "db", c, True)
    with nogil:
        status = fnn_norm_layer_bwd(dtype, rows, c, dyp, xp, wp, mean_p, rstd_p, dxp, dwp, dbp)
    done(status)
