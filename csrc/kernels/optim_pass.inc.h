/* optim_pass.inc.h - single passes over tables of spans: norms, clipping and scaling of gradients, where span->w is the
 * gradient; averages and look-ahead of weights. */

/* The sum of squares. Four sums of `real` lanes, short enough not to lose digits; pieces add as doubles. */
static void KERNEL(optim_sum_squares)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const real *g = (const real *)span->w + first;
    vr sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    int64_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            vr gi = v_load(g + i + j * VL);
            sum[j] = v_fma(gi, gi, sum[j]);
        }
    for (; i < n; i += VL) {
        vr gi = optim_load(g + i, n - i);
        sum[0] = v_fma(gi, gi, sum[0]);
    }
    ((fnn_span_piece *)argument)->sums[0] = (double)v_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

/* g *= *argument */
static void KERNEL(optim_scale)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    real *g = (real *)span->w + first;
    const vr factor = v_splat((real) * (const double *)argument);
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(g + i, v_load(g + i) * factor);
    if (i < n)
        v_store_n(g + i, v_load_n(g + i, n - i) * factor, n - i);
}

/* g = min(max(g, -*argument), *argument); NaN stays NaN, because v_max and v_min return their second operand then. */
static void KERNEL(optim_clamp)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    real *g = (real *)span->w + first;
    const vr high = v_splat((real) * (const double *)argument), low = -high;
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(g + i, v_min(high, v_max(low, v_load(g + i))));
    if (i < n)
        v_store_n(g + i, v_min(high, v_max(low, v_load_n(g + i, n - i))), n - i);
}

/* NaN if an element is infinite or NaN, else 0: x * 0 is NaN for those alone. */
static void KERNEL(optim_nonfinite)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const real *g = (const real *)span->w + first;
    vr sum = v_zero();
    for (int64_t i = 0; i < n; i += VL)
        sum = v_fma(optim_load(g + i, n - i), v_zero(), sum);
    ((fnn_span_piece *)argument)->sums[0] = (double)v_sum(sum);
}

/* w = argument[0] w + argument[1] g */
static void KERNEL(optim_mix)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const double *factors = argument;
    real *w = (real *)span->w + first;
    const real *g = (const real *)span->g + first;
    const vr keep = v_splat((real)factors[0]), add = v_splat((real)factors[1]);
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(w + i, v_fma(add, v_load(g + i), keep * v_load(w + i)));
    if (i < n)
        v_store_n(w + i, v_fma(add, v_load_n(g + i, n - i), keep * v_load_n(w + i, n - i)), n - i);
}
