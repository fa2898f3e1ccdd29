/* elementwise.inc.h - arithmetic on two arrays, on an array and a number, and on (rows, channels) and one value for
 * each channel; the operators are listed in binaries.def. Outputs may be the inputs themselves. */

typedef vr binary_function(vr a, vr b);

ALWAYS_INLINE vr add_vectors(vr a, vr b) { return a + b; }
ALWAYS_INLINE vr sub_vectors(vr a, vr b) { return a - b; }
ALWAYS_INLINE vr mul_vectors(vr a, vr b) { return a * b; }
ALWAYS_INLINE vr div_vectors(vr a, vr b) { return a / b; }

/* y[i] = a[i] op b[i] */
ALWAYS_INLINE void binary_arrays(binary_function *op, int64_t n, const real *a, const real *b, real *y)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, op(v_load(a + i), v_load(b + i)));
    if (i < n)
        v_store_n(y + i, op(v_load_n(a + i, n - i), v_load_n(b + i, n - i)), n - i);
}

/* y[i] = a[i] op b, or with number_first b op a[i] */
ALWAYS_INLINE void binary_number(binary_function *op, const int number_first, int64_t n, const real *a, real b, real *y)
{
    vr number = v_splat(b);
    for (int64_t i = 0; i < n; i += VL) {
        int64_t here = n - i < VL ? n - i : VL;
        vr ai = v_load_upto(a + i, here);
        v_store_upto(y + i, number_first ? op(number, ai) : op(ai, number), here);
    }
}

/* y[r, j] = a[r, j] op b[j] */
ALWAYS_INLINE void binary_columns(binary_function *op, int64_t rows, int64_t channels, const real *a, const real *b,
                                  real *y)
{
    for (int64_t r = 0; r < rows; r++, a += channels, y += channels)
        binary_arrays(op, channels, a, b, y);
}

#define FNN_BINARY(name)                                                                                      \
    static void KERNEL(name##_arrays)(int64_t n, const real *a, const real *b, real *y)                       \
    {                                                                                                         \
        binary_arrays(name##_vectors, n, a, b, y);                                                            \
    }                                                                                                         \
    static void KERNEL(name##_number)(int64_t n, const real *a, double b, int number_first, real *y)          \
    {                                                                                                         \
        if (number_first)                                                                                     \
            binary_number(name##_vectors, 1, n, a, (real)b, y);                                               \
        else                                                                                                  \
            binary_number(name##_vectors, 0, n, a, (real)b, y);                                               \
    }                                                                                                         \
    static void KERNEL(name##_columns)(int64_t rows, int64_t channels, const real *a, const real *b, real *y) \
    {                                                                                                         \
        binary_columns(name##_vectors, rows, channels, a, b, y);                                              \
    }
#include "../binaries.def"
#undef FNN_BINARY

/* y = alpha a + beta b */
static void KERNEL(axpby)(int64_t n, double alpha, const real *a, double beta, const real *b, real *y)
{
    vr s = v_splat((real)alpha), t = v_splat((real)beta);
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, v_fma(s, v_load(a + i), t * v_load(b + i)));
    if (i < n)
        v_store_n(y + i, v_fma(s, v_load_n(a + i, n - i), t * v_load_n(b + i, n - i)), n - i);
}
