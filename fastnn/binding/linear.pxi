# linear.pxi - matrix products.

cdef extern from "fnn.h" nogil:
    int fnn_matmul(int dtype, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row,
                   int64_t a_batch, c_bool a_transposed, const void *b, int64_t b_row, int64_t b_batch,
                   c_bool b_transposed, const void *bias, void *c)
    int fnn_matmul_bf16(int dtype, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row,
                        int64_t a_batch, c_bool a_transposed, const void *b, int64_t b_row, int64_t b_batch,
                        c_bool b_transposed, const void *bias, void *c)


def matmul(cnp.ndarray a, bint a_transposed, cnp.ndarray b, bint b_transposed, cnp.ndarray c,
           cnp.ndarray bias=None, bint bf16=False):
    """c[i] = op(a[i]) op(b[i]) + bias for contiguous (batch, rows, cols) arrays; a or b of batch 1 serves every i.
    Three matrices, (rows, cols), are a batch of 1.

    With `bf16`, float32 operands are rounded to bfloat16 and summed in float32.
    """
    cdef int ndim = cnp.PyArray_NDIM(c), r = ndim - 2
    if ndim not in (2, 3) or cnp.PyArray_NDIM(a) != ndim or cnp.PyArray_NDIM(b) != ndim:
        raise ValueError("matmul: expected three arrays of two or of three dimensions")
    cdef int dtype = real_dtype(a, "a"), status
    cdef int64_t batch = c.shape[0] if r else 1, a_count = a.shape[0] if r else 1, b_count = b.shape[0] if r else 1
    cdef int64_t m = c.shape[r], n = c.shape[r + 1]
    cdef int64_t k = a.shape[r] if a_transposed else a.shape[r + 1]
    cdef int64_t a_row = a.shape[r + 1], b_row = b.shape[r + 1]
    cdef int64_t a_batch = a.shape[r] * a_row if a_count > 1 else 0
    cdef int64_t b_batch = b.shape[r] * b_row if b_count > 1 else 0
    cdef const void *ap = source(a, dtype, "a", a_count * m * k)
    cdef const void *bp = source(b, dtype, "b", b_count * k * n)
    cdef void *cp = target(c, dtype, "c")
    cdef const void *biasp = NULL if bias is None else source(bias, dtype, "bias", n)
    if (a_count != 1 and a_count != batch) or (b_count != 1 and b_count != batch):
        raise ValueError(f"matmul: expected batches of 1 or {batch}, got {a_count} and {b_count}")
    with nogil:
        if bf16:
            status = fnn_matmul_bf16(dtype, batch, m, n, k, ap, a_row, a_batch, a_transposed, bp, b_row, b_batch,
                                     b_transposed, biasp, cp)
        else:
            status = fnn_matmul(dtype, batch, m, n, k, ap, a_row, a_batch, a_transposed, bp, b_row, b_batch,
                                b_transposed, biasp, cp)
    done(status)
