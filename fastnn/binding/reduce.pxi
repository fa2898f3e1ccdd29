# reduce.pxi - sums.

cdef extern from "fnn.h" nogil:
    int fnn_sum_all(int dtype, c_bool squares, int64_t n, const void *x, double *total)
    int fnn_sum_rows(int dtype, int64_t rows, int64_t columns, const void *x, double scale, void *y)
    int fnn_sum_columns(int dtype, int64_t rows, int64_t columns, const void *x, double scale, void *y)


def sum_all(cnp.ndarray x, bint squares=False):
    """The sum of all elements, or of their squares, of a dense array, as a Python float."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef const void *xp = dense(x, x, dtype, "x", False)
    cdef int64_t n = cnp.PyArray_SIZE(x)
    cdef double total = 0
    with nogil:
        status = fnn_sum_all(dtype, squares, n, xp, &total)
    done(status)
    return total


def sum_rows(cnp.ndarray x, cnp.ndarray y, double scale=1):
    """y[r] = scale * the sum of row r, the rows being as many as y has elements; C-contiguous."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t n = cnp.PyArray_SIZE(x), rows = cnp.PyArray_SIZE(y)
    cdef const void *xp = source(x, dtype, "x")
    cdef void *yp = target(y, dtype, "y")
    if rows == 0 or n % rows:
        raise ValueError(f"sum_rows: {n} elements do not make {rows} rows")
    with nogil:
        status = fnn_sum_rows(dtype, rows, n // rows, xp, scale, yp)
    done(status)


def sum_columns(cnp.ndarray x, cnp.ndarray y, double scale=1):
    """y[j] = scale * the sum of column j, the columns being as many as y has elements; C-contiguous."""
    cdef int dtype = real_dtype(x, "x"), status
    cdef int64_t n = cnp.PyArray_SIZE(x), columns = cnp.PyArray_SIZE(y)
    cdef const void *xp = source(x, dtype, "x")
    cdef void *yp = target(y, dtype, "y")
    if columns == 0 or n % columns:
        raise ValueError(f"sum_columns: {n} elements do not make {columns} columns")
    with nogil:
        status = fnn_sum_columns(dtype, n // columns, columns, xp, scale, yp)
    done(status)
