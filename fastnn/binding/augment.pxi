# augment.pxi - augmentation of image batches, and the gathering of batches.

cdef extern from "fnn.h" nogil:
    enum: FNN_PAD_CONSTANT, FNN_PAD_SYMMETRIC
    enum: FNN_AUGMENT_TOP, FNN_AUGMENT_LEFT, FNN_AUGMENT_HEIGHT, FNN_AUGMENT_WIDTH, FNN_AUGMENT_BOXES
    ctypedef struct fnn_augment_shape:
        int64_t n, h, w, pixel, out_h, out_w, byte_boxes, real_boxes
        int padding
        c_bool antialias
    int fnn_augment_move(int dtype, const fnn_augment_shape *s, const uint8_t *x, const int32_t *table,
                         const uint8_t *fill, uint8_t *y)
    int fnn_augment_normalize(int dtype, const fnn_augment_shape *s, const uint8_t *x, const int32_t *table,
                              const uint8_t *fill, const void *scale, const void *shift, const void *real_fill,
                              void *y)
    int fnn_gather_rows(int dtype, int64_t n, int64_t row_bytes, const uint8_t *x, const int64_t *index, uint8_t *y)


cdef int raw_bytes(cnp.ndarray array, str name, bint write) except -1:
    """Checks an array that is handled as bytes: plain elements, contiguous."""
    if array is None:
        raise TypeError(f"{name}: expected an array, got None")
    if array.dtype.hasobject:
        raise TypeError(f"{name}: expected plain numbers, got {array.dtype}")
    if not cnp.PyArray_CHKFLAGS(array, cnp.NPY_ARRAY_C_CONTIGUOUS):
        raise ValueError(f"{name}: expected a C-contiguous array, got strides {(<object>array).strides} "
                         f"for shape {(<object>array).shape}")
    if write and not cnp.PyArray_ISWRITEABLE(array):
        raise ValueError(f"{name}: the array to write to is read-only")
    return 0


cdef int augment_check(fnn_augment_shape *s, cnp.ndarray x, cnp.ndarray table, cnp.ndarray fill, cnp.ndarray y,
                       int64_t real_boxes, int padding, bint antialias) except -1:
    """Derives the shape of a call from its arrays and makes sure that every window to resample lies in its image."""
    raw_bytes(x, "x", False)
    raw_bytes(y, "y", True)
    if cnp.PyArray_NDIM(x) != 4 or cnp.PyArray_NDIM(y) != 4 or x.shape[0] != y.shape[0] or x.shape[3] != y.shape[3]:
        raise ValueError(f"augment: expected x (N, H, W, C) and y (N, h, w, C), got {(<object>x).shape} "
                         f"and {(<object>y).shape}")
    if cnp.PyArray_NDIM(fill) != 2 or cnp.PyArray_NDIM(table) != 2 or fill.shape[0] < 1:
        raise ValueError("augment: expected table (N, columns) and fill (1 + boxes, bytes of a pixel)")
    if not FNN_PAD_CONSTANT <= padding <= FNN_PAD_SYMMETRIC:
        raise ValueError(f"augment: expected a padding mode from 0 to {FNN_PAD_SYMMETRIC}, got {padding}")
    s.n, s.h, s.w = x.shape[0], x.shape[1], x.shape[2]
    s.pixel = x.shape[3] * cnp.PyArray_ITEMSIZE(x)
    s.out_h, s.out_w = y.shape[1], y.shape[2]
    s.byte_boxes, s.real_boxes = fill.shape[0] - 1, real_boxes
    s.padding, s.antialias = padding, antialias
    if s.h < 1 or s.w < 1:
        raise ValueError(f"augment: expected images of at least one pixel, got {s.h}x{s.w}")
    cdef int64_t columns = FNN_AUGMENT_BOXES + 4 * (s.byte_boxes + real_boxes), i
    cdef const int32_t *row = <const int32_t *>checked(table, cnp.NPY_INT32, "table", s.n * columns, False)
    checked(fill, cnp.NPY_UINT8, "fill", (1 + s.byte_boxes) * s.pixel, False)
    for i in range(s.n):
        if row[FNN_AUGMENT_HEIGHT] != s.out_h or row[FNN_AUGMENT_WIDTH] != s.out_w:
            if cnp.PyArray_TYPE(x) != cnp.NPY_UINT8:
                raise TypeError(f"augment: expected uint8 images to resample, got {x.dtype}")
            if (row[FNN_AUGMENT_TOP] < 0 or row[FNN_AUGMENT_LEFT] < 0 or row[FNN_AUGMENT_HEIGHT] < 1
                    or row[FNN_AUGMENT_WIDTH] < 1
                    or row[FNN_AUGMENT_TOP] > s.h - row[FNN_AUGMENT_HEIGHT]
                    or row[FNN_AUGMENT_LEFT] > s.w - row[FNN_AUGMENT_WIDTH]):
                raise ValueError(f"augment: the window to resample of image {i} is empty or leaves the image")
        row += columns
    return 0


def augment_move(cnp.ndarray x, cnp.ndarray table, cnp.ndarray fill, cnp.ndarray y, int padding, bint antialias):
    """Crop or resample, flip and erase: x (N, H, W, C) -> y (N, h, w, C) of the same dtype."""
    cdef fnn_augment_shape s
    cdef int status
    augment_check(&s, x, table, fill, y, 0, padding, antialias)
    if x.dtype != y.dtype:
        raise TypeError(f"augment_move: expected y of dtype {x.dtype}, got {y.dtype}")
    cdef const uint8_t *xp = <const uint8_t *>cnp.PyArray_DATA(x)
    cdef const int32_t *tp = <const int32_t *>cnp.PyArray_DATA(table)
    cdef const uint8_t *fp = <const uint8_t *>cnp.PyArray_DATA(fill)
    cdef uint8_t *yp = <uint8_t *>cnp.PyArray_DATA(y)
    with nogil:
        status = fnn_augment_move(FNN_F32, &s, xp, tp, fp, yp)
    done(status)


def augment_normalize(cnp.ndarray x, cnp.ndarray table, cnp.ndarray fill, cnp.ndarray scale, cnp.ndarray shift,
                      cnp.ndarray real_fill, cnp.ndarray y, int padding, bint antialias):
    """Crop or resample, flip, erase, scale and shift per channel, erase: uint8 x (N, H, W, C) -> reals y (N, h, w, C)."""
    cdef fnn_augment_shape s
    cdef int dtype = real_dtype(y, "y"), status
    if cnp.PyArray_NDIM(real_fill) != 2:
        raise ValueError("augment_normalize: expected real_fill (boxes, C)")
    cdef const uint8_t *xp = <const uint8_t *>checked(x, cnp.NPY_UINT8, "x", -1, False)
    augment_check(&s, x, table, fill, y, real_fill.shape[0], padding, antialias)
    cdef const int32_t *tp = <const int32_t *>cnp.PyArray_DATA(table)
    cdef const uint8_t *fp = <const uint8_t *>cnp.PyArray_DATA(fill)
    cdef const void *scale_p = source(scale, dtype, "scale", s.pixel)
    cdef const void *shift_p = source(shift, dtype, "shift", s.pixel)
    cdef const void *rp = source(real_fill, dtype, "real_fill", s.real_boxes * s.pixel)
    cdef void *yp = target(y, dtype, "y")
    with nogil:
        status = fnn_augment_normalize(dtype, &s, xp, tp, fp, scale_p, shift_p, rp, yp)
    done(status)


def gather_rows(cnp.ndarray source, cnp.ndarray indices, cnp.ndarray out):
    """out[i] = source[indices[i]]: whole rows of any plain dtype, indices int64 in [0, len(source))."""
    raw_bytes(source, "source", False)
    raw_bytes(out, "out", True)
    if cnp.PyArray_NDIM(source) < 1 or cnp.PyArray_NDIM(indices) != 1:
        raise ValueError("gather_rows: expected source (N, ...) and indices (n,)")
    cdef const int64_t *index = <const int64_t *>checked(indices, cnp.NPY_INT64, "indices", -1, False)
    cdef int64_t n = indices.shape[0], count = source.shape[0], i, row_bytes = cnp.PyArray_ITEMSIZE(source)
    cdef int axis, status
    cdef bint fits = (cnp.PyArray_NDIM(out) == cnp.PyArray_NDIM(source) and out.shape[0] == n
                      and out.dtype == source.dtype)
    for axis in range(1, cnp.PyArray_NDIM(source)):
        fits = fits and out.shape[axis] == source.shape[axis]
        row_bytes *= source.shape[axis]
    if not fits:
        raise ValueError(f"gather_rows: expected out of shape {(n, *(<object>source).shape[1:])} and dtype "
                         f"{source.dtype}, got {(<object>out).shape} and {out.dtype}")
    for i in range(n):
        if index[i] < 0 or index[i] >= count:
            raise IndexError(f"gather_rows: expected indices in [0, {count}), got {index[i]} at position {i}")
    cdef const uint8_t *xp = <const uint8_t *>cnp.PyArray_DATA(source)
    cdef uint8_t *yp = <uint8_t *>cnp.PyArray_DATA(out)
    with nogil:
        status = fnn_gather_rows(FNN_F32, n, row_bytes, xp, index, yp)
    done(status)
