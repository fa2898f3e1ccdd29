# core.pxi - array checks, the allocator, processor levels and threads.

cdef extern from "<stdbool.h>":
    ctypedef bint c_bool "bool"

cdef extern from "fnn.h" nogil:
    enum: FNN_F32, FNN_F64, FNN_NO_MEMORY
    int fnn_level_count()
    const char *fnn_level_name(int index)
    int fnn_level()
    void fnn_set_level(int index)
    const char *fnn_cpu_features()
    int fnn_bf16_count()
    const char *fnn_bf16_name(int index)
    int fnn_bf16()
    int fnn_bf16_best()
    void fnn_set_bf16(int index)
    int64_t fnn_cache_bytes(int level)
    int64_t fnn_stream_bytes()
    void fnn_set_stream_bytes(int64_t bytes)
    c_bool fnn_has_openmp()
    int fnn_num_threads()
    void fnn_set_num_threads(int count)
    void fnn_after_fork_in_child()
    ctypedef struct fnn_alloc_stats:
        int64_t in_use, peak, cached, requests, misses
    void *fnn_alloc(size_t size)
    void fnn_free(void *block)
    void fnn_alloc_get_stats(fnn_alloc_stats *stats)
    void fnn_alloc_reset_peak()
    void fnn_alloc_trim()


# ---- arrays -------------------------------------------------------------------------------------------------------

cdef inline int real_dtype(cnp.ndarray array, str name) except -1:
    """FNN_F32 or FNN_F64, from the array that decides the dtype of a call."""
    cdef int typenum = cnp.PyArray_TYPE(array)
    if typenum == cnp.NPY_FLOAT32:
        return FNN_F32
    if typenum == cnp.NPY_FLOAT64:
        return FNN_F64
    raise TypeError(f"{name}: expected float32 or float64, got {array.dtype}")


cdef void *checked(cnp.ndarray array, int typenum, str name, int64_t size, bint write) except NULL:
    """The data of a C-contiguous array of `typenum` and, unless `size` is -1, `size` elements."""
    if array is None:
        raise TypeError(f"{name}: expected an array, got None")
    if cnp.PyArray_TYPE(array) != typenum:
        raise TypeError(f"{name}: expected {cnp.PyArray_DescrFromType(typenum)}, got {array.dtype}")
    if not (cnp.PyArray_CHKFLAGS(array, cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_ALIGNED)):
        raise ValueError(f"{name}: expected a C-contiguous array, got strides {(<object>array).strides} "
                         f"for shape {(<object>array).shape}")
    if write and not cnp.PyArray_ISWRITEABLE(array):
        raise ValueError(f"{name}: the array to write to is read-only")
    if size >= 0 and cnp.PyArray_SIZE(array) != size:
        raise ValueError(f"{name}: expected {size} elements, got {cnp.PyArray_SIZE(array)} "
                         f"in shape {(<object>array).shape}")
    return cnp.PyArray_DATA(array)


cdef inline const void *source(cnp.ndarray array, int dtype, str name, int64_t size=-1) except NULL:
    """An array of reals that is read."""
    return checked(array, cnp.NPY_FLOAT32 if dtype == FNN_F32 else cnp.NPY_FLOAT64, name, size, False)


cdef inline void *target(cnp.ndarray array, int dtype, str name, int64_t size=-1) except NULL:
    """An array of reals that is written."""
    return checked(array, cnp.NPY_FLOAT32 if dtype == FNN_F32 else cnp.NPY_FLOAT64, name, size, True)


cdef inline int done(int status) except -1:
    """Turns a status of the C library into an exception."""
    if status == FNN_NO_MEMORY:
        raise MemoryError("fastnn: out of memory for an operation's workspace")
    return 0


# ---- the caching allocator under the arrays that operations make --------------------------------------------------

cdef class Block:
    """Memory of the caching allocator; the base of the one array that lies in it. Goes back when that array dies."""
    cdef void *memory

    def __dealloc__(self):
        fnn_free(self.memory)


def empty(tuple shape, dtype):
    """A C-contiguous, 64-byte aligned array with undefined contents from the caching allocator."""
    cdef cnp.npy_intp dims[32]
    cdef int ndim = <int>len(shape), i
    cdef cnp.dtype descr = cnp.dtype(dtype) if not isinstance(dtype, cnp.dtype) else dtype
    cdef size_t size = <size_t>descr.itemsize
    cdef Block block
    if ndim > 32:
        raise ValueError(f"empty: expected at most 32 dimensions, got {ndim}")
    for i in range(ndim):
        dims[i] = shape[i]
        if dims[i] < 0:
            raise ValueError(f"empty: expected no negative sizes, got shape {shape}")
        if dims[i] > 0 and size > (<size_t>1 << 46) // <size_t>dims[i]:
            raise MemoryError(f"empty: shape {shape} of {descr} is too large")
        size *= <size_t>dims[i]
    block = Block.__new__(Block)
    block.memory = fnn_alloc(size)
    if block.memory == NULL:
        raise MemoryError(f"empty: no memory for shape {shape} of {descr}")
    array = cnp.PyArray_SimpleNewFromData(ndim, dims, descr.type_num, block.memory)
    cnp.set_array_base(array, block)
    return array


def allocator_stats():
    """Bytes in use, their peak, bytes cached; requests and those that had to ask the system."""
    cdef fnn_alloc_stats stats
    fnn_alloc_get_stats(&stats)
    return {"in_use": stats.in_use, "peak": stats.peak, "cached": stats.cached,
            "requests": stats.requests, "misses": stats.misses}


def allocator_reset_peak():
    fnn_alloc_reset_peak()


def allocator_trim():
    fnn_alloc_trim()


# ---- processor and threads ----------------------------------------------------------------------------------------

def levels():
    """Names of the instruction-set levels that can run here, plainest first."""
    return [fnn_level_name(i).decode() for i in range(fnn_level_count())]


def level():
    return fnn_level_name(fnn_level()).decode()


def set_level(int index):
    if not 0 <= index < fnn_level_count():
        raise ValueError(f"set_level: expected an index below {fnn_level_count()}, got {index}")
    fnn_set_level(index)


def features():
    return fnn_cpu_features().decode().split()


def bf16_units():
    """Names of the ways to form products of bfloat16 at this level, the plainest first, and that of the best."""
    return [fnn_bf16_name(i).decode() for i in range(fnn_bf16_count())], fnn_bf16_name(fnn_bf16_best()).decode()


def bf16_unit():
    return fnn_bf16_name(fnn_bf16()).decode()


def set_bf16_unit(int index):
    if not 0 <= index < fnn_bf16_count():
        raise ValueError(f"set_bf16_unit: expected an index below {fnn_bf16_count()}, got {index}")
    fnn_set_bf16(index)


def stream_bytes():
    """Bytes above which an output goes past the caches: half of the last level, if nobody has set it."""
    return fnn_stream_bytes()


def set_stream_bytes(int64_t limit):
    """Sets that; 0 for half of the last level again."""
    if limit < 0:
        raise ValueError(f"set_stream_bytes: expected at least 0, got {limit}")
    fnn_set_stream_bytes(limit)


def cache_bytes(int cache_level):
    if not 1 <= cache_level <= 3:
        raise ValueError(f"cache_bytes: expected level 1, 2 or 3, got {cache_level}")
    return fnn_cache_bytes(cache_level)


def has_openmp():
    return bool(fnn_has_openmp())


def num_threads():
    return fnn_num_threads()


def set_num_threads(int count):
    if not 1 <= count <= 1024:
        raise ValueError(f"set_num_threads: expected a count from 1 to 1024, got {count}")
    fnn_set_num_threads(count)


def after_fork_in_child():
    fnn_after_fork_in_child()
