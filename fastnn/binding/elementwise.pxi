# elementwise.pxi - arrays in any dense memory order; arithmetic on them.

cdef extern from "lists.h" nogil:
    enum: FNN_BINARIES
    const char *fnn_binary_name(int code)

cdef extern from "fnn.h" nogil:
    int fnn_binary_arrays(int dtype, int code, int64_t n, const void *a, const void *b, void *y)
    int fnn_binary_number(int dtype, int code, int64_t n, const void *a, double b, c_bool number_first, void *y)
    int fnn_binary_columns(int dtype, int code, int64_t rows, int64_t channels, const void *a, const void *b, void *y)
    int fnn_axpby(int dtype, int64_t n, double alpha, const void *a, double beta, const void *b, void *y)

BINARIES = {fnn_binary_name(code).decode(): code for code in range(FNN_BINARIES)}
"""Code of every operator by its name in binaries.def."""


# ---- dense arrays: elements side by side, axes in any order -------------------------------------------------------

cpdef bint same_order(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether two arrays have one shape and their elements, if of one size, one order in memory."""
    cdef int ndim = cnp.PyArray_NDIM(a), i
    if cnp.PyArray_NDIM(b) != ndim:
        return False
    for i in range(ndim):
        if cnp.PyArray_DIM(a, i) != cnp.PyArray_DIM(b, i):
            return False
        if cnp.PyArray_DIM(a, i) > 1 and cnp.PyArray_STRIDE(a, i) != cnp.PyArray_STRIDE(b, i):
            return cnp.PyArray_SIZE(a) == 0
    return True


cdef void *dense(cnp.ndarray array, cnp.ndarray like, int dtype, str name, bint write) except NULL:
    """The data of a dense array of reals with the shape and memory order of `like`."""
    cdef int typenum = cnp.NPY_FLOAT32 if dtype == FNN_F32 else cnp.NPY_FLOAT64
    if array is None:
        raise TypeError(f"{name}: expected an array, got None")
    if cnp.PyArray_TYPE(array) != typenum:
        raise TypeError(f"{name}: expected {cnp.PyArray_DescrFromType(typenum)}, got {array.dtype}")
    if not cnp.PyArray_CHKFLAGS(array, cnp.NPY_ARRAY_ALIGNED) or not (
            is_dense(array) if array is like else same_order(array, like)):
        raise ValueError(f"{name}: expected a dense array of shape {(<object>like).shape} and strides "
                         f"{(<object>like).strides}, got shape {(<object>array).shape} and strides "
                         f"{(<object>array).strides}")
    if write and not cnp.PyArray_ISWRITEABLE(array):
        raise ValueError(f"{name}: the array to write to is read-only")
    return cnp.PyArray_DATA(array)


def empty_like(cnp.ndarray array):
    """An array of the caching allocator with the shape, dtype and, if dense, memory order of another."""
    cdef Block block
    cdef cnp.npy_intp *strides = NULL
    cdef cnp.npy_intp size = cnp.PyArray_SIZE(array) * cnp.PyArray_ITEMSIZE(array)
    if not cnp.PyArray_CHKFLAGS(array, cnp.NPY_ARRAY_C_CONTIGUOUS) and size and is_dense(array):
        strides = cnp.PyArray_STRIDES(array)
    block = Block.__new__(Block)
    block.memory = fnn_alloc(<size_t>size)
    if block.memory == NULL:
        raise MemoryError(f"empty_like: no memory for shape {(<object>array).shape} of {array.dtype}")
    made = cnp.PyArray_New(cnp.ndarray, cnp.PyArray_NDIM(array), cnp.PyArray_DIMS(array), cnp.PyArray_TYPE(array),
                           strides, block.memory, 0, cnp.NPY_ARRAY_WRITEABLE, None)
    cnp.set_array_base(made, block)
    return made


# ---- arithmetic ---------------------------------------------------------------------------------------------------

cdef inline int binary_code(int code) except -1:
    if not 0 <= code < FNN_BINARIES:
        raise ValueError(f"binary: expected a code below {FNN_BINARIES}, got {code}")
    return code


def binary_arrays(int code, cnp.ndarray a, cnp.ndarray b, cnp.ndarray y):
    """y = a op b for dense arrays of one shape and memory order; y may be a or b."""
    cdef int dtype = real_dtype(a, "a"), status
    cdef const void *ap = dense(a, a, dtype, "a", False)
    cdef const void *bp = dense(b, a, dtype, "b", False)
    cdef void *yp = dense(y, a, dtype, "y", True)
    cdef int64_t n = cnp.PyArray_SIZE(a)
    binary_code(code)
    with nogil:
        status = fnn_binary_arrays(dtype, code, n, ap, bp, yp)
    done(status)


def binary_number(int code, cnp.ndarray a, double b, bint number_first, cnp.ndarray y):
    """y = a op b, or with `number_first` b op a, for a number b; y may be a."""
    cdef int dtype = real_dtype(a, "a"), status
    cdef const void *ap = dense(a, a, dtype, "a", False)
    cdef void *yp = dense(y, a, dtype, "y", True)
    cdef int64_t n = cnp.PyArray_SIZE(a)
    binary_code(code)
    with nogil:
        status = fnn_binary_number(dtype, code, n, ap, b, number_first, yp)
    done(status)


def binary_columns(int code, cnp.ndarray a, cnp.ndarray b, cnp.ndarray y):
    """y[..., j] = a[..., j] op b[j] for C-contiguous arrays; y may be a."""
    cdef int dtype = real_dtype(a, "a"), status
    cdef int64_t n = cnp.PyArray_SIZE(a), channels = cnp.PyArray_SIZE(b)
    cdef const void *ap = source(a, dtype, "a")
    cdef const void *bp = source(b, dtype, "b")
    cdef void *yp = target(y, dtype, "y", n)
    binary_code(code)
    if channels == 0 or n % channels:
        raise ValueError(f"binary_columns: {channels} channels do not fit {n} elements")
    with nogil:
        status = fnn_binary_columns(dtype, code, n // channels, channels, ap, bp, yp)
    done(status)


def axpby(double alpha, cnp.ndarray a, double beta, cnp.ndarray b, cnp.ndarray y):
    """y = alpha a + beta b for dense arrays of one memory order; y may be a or b."""
    cdef int dtype = real_dtype(a, "a"), status
    cdef const void *ap = dense(a, a, dtype, "a", False)
    cdef const void *bp = dense(b, a, dtype, "b", False)
    cdef void *yp = dense(y, a, dtype, "y", True)
    cdef int64_t n = cnp.PyArray_SIZE(a)
    with nogil:
        status = fnn_axpby(dtype, n, alpha, ap, beta, bp, yp)
    done(status)
