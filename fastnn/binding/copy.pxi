# copy.pxi - copies between arrays of any strides, sums of them, and zeros.

from numpy import add as _add, copyto as _copyto

cdef extern from "fnn.h" nogil:
    int fnn_copy_strided(int dtype, int64_t dims, const int64_t *shape, const void *x, const int64_t *x_step, void *y,
                         const int64_t *y_step, bint add)
    int fnn_clear(int dtype, int64_t n, void *y)


cdef bint whole_steps(cnp.ndarray array):
    """Whether every stride is a whole number of elements, and elements lie where the processor wants them."""
    cdef int64_t size = cnp.PyArray_ITEMSIZE(array)
    cdef int i
    for i in range(cnp.PyArray_NDIM(array)):
        if cnp.PyArray_STRIDE(array, i) % size:
            return False
    return <size_t>cnp.PyArray_DATA(array) % <size_t>size == 0


cdef bint copy_kernel(str name, cnp.ndarray y, cnp.ndarray x, bint add) except -1:
    """y = x or y += x by the kernel; False for dtypes that no kernel knows, or that differ."""
    cdef int64_t shape[32], x_step[32], y_step[32]
    cdef int dims = cnp.PyArray_NDIM(y), i, kind = cnp.PyArray_TYPE(y), status, dtype
    cdef int64_t size = cnp.PyArray_ITEMSIZE(y)
    if dims != cnp.PyArray_NDIM(x):
        raise ValueError(f"{name}: expected arrays of one shape, got {(<object>y).shape} and {(<object>x).shape}")
    for i in range(dims):
        shape[i] = cnp.PyArray_DIM(y, i)
        if shape[i] != cnp.PyArray_DIM(x, i):
            raise ValueError(f"{name}: expected arrays of one shape, got {(<object>y).shape} and {(<object>x).shape}")
        x_step[i], y_step[i] = cnp.PyArray_STRIDE(x, i) // size, cnp.PyArray_STRIDE(y, i) // size
    if not cnp.PyArray_CHKFLAGS(y, cnp.NPY_ARRAY_WRITEABLE):
        raise ValueError(f"{name}: expected y to be writeable")
    if (kind != cnp.PyArray_TYPE(x) or kind not in (cnp.NPY_FLOAT32, cnp.NPY_FLOAT64) or dims > 32
            or not (y.dtype.isnative and x.dtype.isnative and whole_steps(x) and whole_steps(y))):
        return False
    dtype = real_dtype(y, "y")
    cdef const void *xp = cnp.PyArray_DATA(x)
    cdef void *yp = cnp.PyArray_DATA(y)
    with nogil:
        status = fnn_copy_strided(dtype, dims, shape, xp, x_step, yp, y_step, add)
    done(status)
    return True


def copyto(cnp.ndarray y, cnp.ndarray x):
    """y[...] = x for arrays of one shape that share no memory, on several threads where that pays.

    dtypes that no kernel knows, or that differ, are left to NumPy.
    """
    if not copy_kernel("copyto", y, x, False):
        _copyto(y, x)


def addto(cnp.ndarray y, cnp.ndarray x):
    """y[...] += x for arrays of one shape that share no memory, as `copyto` does it."""
    if not copy_kernel("addto", y, x, True):
        _add(y, x, out=y)


def zeros(tuple shape, dtype):
    """A C-contiguous array of zeros from the caching allocator; float32 and float64."""
    cdef cnp.ndarray y = empty(shape, dtype)
    cdef int kind = real_dtype(y, "zeros"), status
    cdef int64_t n = cnp.PyArray_SIZE(y)
    cdef void *yp = cnp.PyArray_DATA(y)
    with nogil:
        status = fnn_clear(kind, n, yp)
    done(status)
    return y
