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
    enum: FNN_COLOR_COLUMNS
    ctypedef struct fnn_affine_shape:
        int64_t n, h, w, pixel, out_h, out_w
        c_bool bilinear
    ctypedef struct fnn_filter_shape:
        int64_t n, h, w, c
        int64_t kernel[2]
        c_bool separable
        int padding
    ctypedef struct fnn_noise_shape:
        int64_t n, h, w, c
        c_bool replace
        double low, high
    int fnn_augment_affine(int dtype, const fnn_affine_shape *s, const uint8_t *x, const double *matrix,
                           const uint8_t *fill, uint8_t *y)
    int fnn_augment_color(int dtype, int64_t n, int64_t pixels, int64_t c, int64_t steps, const uint8_t *x,
                          const double *step, uint8_t *y)
    int fnn_augment_histogram(int dtype, int64_t n, int64_t pixels, int64_t c, const uint8_t *x, int64_t *count)
    int fnn_augment_lookup(int dtype, int64_t n, int64_t pixels, int64_t c, const uint8_t *x, const uint8_t *table,
                           uint8_t *y)
    int fnn_augment_filter(int dtype, const fnn_filter_shape *s, const uint8_t *x, const double *weight, uint8_t *y)
    int fnn_augment_noise_bytes(int dtype, const fnn_noise_shape *s, const uint8_t *x, const uint64_t *seed,
                                const double *mean, const double *sigma, const int32_t *box, uint8_t *y)
    int fnn_augment_noise_reals(int dtype, const fnn_noise_shape *s, const void *x, const uint64_t *seed,
                                const double *mean, const double *sigma, const int32_t *box, void *y)
    int fnn_augment_mix(int dtype, int64_t n, int64_t h, int64_t w, int64_t c, const void *x, const int64_t *partner,
                        const double *weight, const int32_t *box, void *y)
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


cdef const uint8_t *image_bytes(cnp.ndarray x, str name) except NULL:
    """The data of a batch of images (N, H, W, C) of at least one pixel, uint8."""
    cdef void *data = checked(x, cnp.NPY_UINT8, name, -1, False)
    if cnp.PyArray_NDIM(x) != 4 or x.shape[1] < 1 or x.shape[2] < 1 or x.shape[3] < 1:
        raise ValueError(f"{name}: expected images (N, H, W, C) of at least one pixel, got {(<object>x).shape}")
    return <const uint8_t *>data


def augment_affine(cnp.ndarray x, cnp.ndarray matrix, cnp.ndarray fill, cnp.ndarray y, bint bilinear):
    """y (N, h, w, C) shows x (N, H, W, C), both uint8, through the map of each row of matrix (N, 6), see shapes.h."""
    cdef fnn_affine_shape s
    cdef int status
    cdef const uint8_t *xp = image_bytes(x, "x")
    cdef uint8_t *yp = <uint8_t *>checked(y, cnp.NPY_UINT8, "y", -1, True)
    if cnp.PyArray_NDIM(y) != 4 or y.shape[0] != x.shape[0] or y.shape[3] != x.shape[3]:
        raise ValueError(f"augment_affine: expected x (N, H, W, C) and y (N, h, w, C), got {(<object>x).shape} "
                         f"and {(<object>y).shape}")
    s.n, s.h, s.w, s.pixel = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    s.out_h, s.out_w, s.bilinear = y.shape[1], y.shape[2], bilinear
    cdef const double *mp = <const double *>checked(matrix, cnp.NPY_FLOAT64, "matrix", 6 * s.n, False)
    cdef const uint8_t *fp = <const uint8_t *>checked(fill, cnp.NPY_UINT8, "fill", s.pixel, False)
    with nogil:
        status = fnn_augment_affine(FNN_F32, &s, xp, mp, fp, yp)
    done(status)


def augment_color(cnp.ndarray x, cnp.ndarray steps, cnp.ndarray y):
    """Changes colours of x (N, H, W, 1 or 3), uint8: image i goes through steps[i] (at most 16, 13), see shapes.h."""
    cdef int status
    cdef const uint8_t *xp = image_bytes(x, "x")
    cdef int64_t n = x.shape[0], pixels = x.shape[1] * x.shape[2], c = x.shape[3]
    if c != 1 and c != 3:
        raise ValueError(f"augment_color: expected images of 1 or 3 channels, got {c}")
    if cnp.PyArray_NDIM(steps) != 3 or steps.shape[0] != n or steps.shape[1] > 16 or steps.shape[2] != FNN_COLOR_COLUMNS:
        raise ValueError(f"augment_color: expected steps ({n}, <= 16, {FNN_COLOR_COLUMNS}), got {(<object>steps).shape}")
    cdef int64_t count = steps.shape[1]
    cdef const double *sp = <const double *>checked(steps, cnp.NPY_FLOAT64, "steps", -1, False)
    cdef uint8_t *yp = <uint8_t *>checked(y, cnp.NPY_UINT8, "y", n * pixels * c, True)
    with nogil:
        status = fnn_augment_color(FNN_F32, n, pixels, c, count, xp, sp, yp)
    done(status)


def augment_histogram(cnp.ndarray x, cnp.ndarray count):
    """count[i, c, v] = how many values of channel c of image i are v: x (N, H, W, C) uint8, count (N, C, 256) int64."""
    cdef int status
    cdef const uint8_t *xp = image_bytes(x, "x")
    cdef int64_t n = x.shape[0], pixels = x.shape[1] * x.shape[2], c = x.shape[3]
    cdef int64_t *cp = <int64_t *>checked(count, cnp.NPY_INT64, "count", n * c * 256, True)
    with nogil:
        status = fnn_augment_histogram(FNN_F32, n, pixels, c, xp, cp)
    done(status)


def augment_lookup(cnp.ndarray x, cnp.ndarray table, cnp.ndarray y):
    """y[i, h, w, c] = table[i, c, x[i, h, w, c]]: x and y (N, H, W, C), table (N, C, 256), all uint8."""
    cdef int status
    cdef const uint8_t *xp = image_bytes(x, "x")
    cdef int64_t n = x.shape[0], pixels = x.shape[1] * x.shape[2], c = x.shape[3]
    cdef const uint8_t *tp = <const uint8_t *>checked(table, cnp.NPY_UINT8, "table", n * c * 256, False)
    cdef uint8_t *yp = <uint8_t *>checked(y, cnp.NPY_UINT8, "y", n * pixels * c, True)
    with nogil:
        status = fnn_augment_lookup(FNN_F32, n, pixels, c, xp, tp, yp)
    done(status)


def augment_filter(cnp.ndarray x, cnp.ndarray weight, int height, int width, bint separable, cnp.ndarray y,
                   int padding):
    """Correlates x (N, H, W, C), uint8, with weight (N, height * width) or, if separable, (N, height + width)."""
    cdef fnn_filter_shape s
    cdef int status
    cdef const uint8_t *xp = image_bytes(x, "x")
    s.n, s.h, s.w, s.c = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    s.kernel[0], s.kernel[1], s.separable, s.padding = height, width, separable, padding
    if not (1 <= height <= 1 << 12 and 1 <= width <= 1 << 12):
        raise ValueError(f"augment_filter: expected a kernel of 1 to 4096 on each side, got {height}x{width}")
    if not FNN_PAD_CONSTANT <= padding <= FNN_PAD_SYMMETRIC:
        raise ValueError(f"augment_filter: expected a padding mode from 0 to {FNN_PAD_SYMMETRIC}, got {padding}")
    cdef int64_t each = height + width if separable else height * width
    cdef const double *wp = <const double *>checked(weight, cnp.NPY_FLOAT64, "weight", s.n * each, False)
    cdef uint8_t *yp = <uint8_t *>checked(y, cnp.NPY_UINT8, "y", s.n * s.h * s.w * s.c, True)
    with nogil:
        status = fnn_augment_filter(FNN_F32, &s, xp, wp, yp)
    done(status)


def augment_noise(cnp.ndarray x, cnp.ndarray seed, cnp.ndarray mean, cnp.ndarray sigma, cnp.ndarray box, bint replace,
                  double low, double high, cnp.ndarray y):
    """Normal noise in a box of each image x (N, H, W, C), uint8 or reals; see shapes.h. uint8 values are rounded."""
    cdef fnn_noise_shape s
    cdef int status, dtype = FNN_F32
    cdef bint is_bytes = cnp.PyArray_TYPE(x) == cnp.NPY_UINT8
    if not is_bytes:
        dtype = real_dtype(x, "x")
    cdef int typenum = cnp.PyArray_TYPE(x)
    cdef const void *xp = checked(x, typenum, "x", -1, False)
    if cnp.PyArray_NDIM(x) != 4:
        raise ValueError(f"augment_noise: expected images (N, H, W, C), got {(<object>x).shape}")
    s.n, s.h, s.w, s.c = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    s.replace, s.low, s.high = replace, low, high
    cdef const uint64_t *seed_p = <const uint64_t *>checked(seed, cnp.NPY_UINT64, "seed", s.n, False)
    cdef const double *mean_p = <const double *>checked(mean, cnp.NPY_FLOAT64, "mean", s.n, False)
    cdef const double *sigma_p = <const double *>checked(sigma, cnp.NPY_FLOAT64, "sigma", s.n, False)
    cdef const int32_t *box_p = <const int32_t *>checked(box, cnp.NPY_INT32, "box", 4 * s.n, False)
    cdef void *yp = checked(y, typenum, "y", s.n * s.h * s.w * s.c, True)
    with nogil:
        if is_bytes:
            status = fnn_augment_noise_bytes(dtype, &s, <const uint8_t *>xp, seed_p, mean_p, sigma_p, box_p,
                                             <uint8_t *>yp)
        else:
            status = fnn_augment_noise_reals(dtype, &s, xp, seed_p, mean_p, sigma_p, box_p, yp)
    done(status)


def augment_mix(cnp.ndarray x, cnp.ndarray partner, cnp.ndarray weight, cnp.ndarray box, cnp.ndarray y):
    """y[i] = weight[i] x[i] + (1 - weight[i]) x[partner[i]] inside box[i], else x[i]; reals (N, H, W, C)."""
    cdef int dtype = real_dtype(x, "x"), status
    if cnp.PyArray_NDIM(x) != 4:
        raise ValueError(f"augment_mix: expected images (N, H, W, C), got {(<object>x).shape}")
    cdef int64_t n = x.shape[0], h = x.shape[1], w = x.shape[2], c = x.shape[3], i
    cdef const void *xp = source(x, dtype, "x")
    cdef const int64_t *pp = <const int64_t *>checked(partner, cnp.NPY_INT64, "partner", n, False)
    cdef const double *wp = <const double *>checked(weight, cnp.NPY_FLOAT64, "weight", n, False)
    cdef const int32_t *bp = <const int32_t *>checked(box, cnp.NPY_INT32, "box", 4 * n, False)
    cdef void *yp = target(y, dtype, "y", n * h * w * c)
    for i in range(n):
        if pp[i] < 0 or pp[i] >= n:
            raise IndexError(f"augment_mix: expected partners in [0, {n}), got {pp[i]} at position {i}")
    with nogil:
        status = fnn_augment_mix(dtype, n, h, w, c, xp, pp, wp, bp, yp)
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
