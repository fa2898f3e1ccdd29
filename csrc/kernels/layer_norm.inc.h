/* layer_norm.inc.h - every row of n reals standardised by itself, scaled and shifted per element. */

/* Ones in the first n lanes, zeros in the rest (n <= VL). */
ALWAYS_INLINE vr norm_lanes(int64_t n)
{
    real ones[VL];
    for (int i = 0; i < VL; i++)
        ones[i] = i < n ? 1 : 0;
    return v_load(ones);
}

/* sum and sum of squares of x[i] - pivot, float64 across chunks of NORM_BLOCK. */
ALWAYS_INLINE void norm_row_sums(int64_t n, const real *x, real pivot, const int squares, vr rest_lanes, double *sum,
                                 double *square)
{
    *sum = *square = 0;
    vr p = v_splat(pivot);
    for (int64_t start = 0; start < n; start += NORM_BLOCK) {
        int64_t end = n - start < NORM_BLOCK ? n : start + NORM_BLOCK, i = start;
        vr s0 = v_zero(), s1 = v_zero(), q0 = v_zero(), q1 = v_zero();
        for (; i + 2 * VL <= end; i += 2 * VL) {
            vr d0 = v_load(x + i) - p, d1 = v_load(x + i + VL) - p;
            s0 += d0;
            s1 += d1;
            if (squares) {
                q0 = v_fma(d0, d0, q0);
                q1 = v_fma(d1, d1, q1);
            }
        }
        for (; i < end; i += VL) {
            vr d = end - i >= VL ? v_load(x + i) - p : (v_load_n(x + i, end - i) - p) * rest_lanes;
            s0 += d;
            if (squares)
                q0 = v_fma(d, d, q0);
        }
        *sum += (double)v_sum(s0 + s1);
        if (squares)
            *square += (double)v_sum(q0 + q1);
    }
}

/* mean = sum x / n, rstd = 1 / sqrt(sum (x - mean)^2 / n + eps), y = (x - mean) rstd w + b */
static void KERNEL(norm_layer_fwd)(int64_t rows, int64_t n, const real *x, const real *w, const real *b, double eps,
                                   real *y, double *mean, double *rstd)
{
    vr rest_lanes = norm_lanes(n % VL);
    double inverse = 1.0 / (double)n;
    for (int64_t row = 0; row < rows; row++, x += n, y += n) {
        double sum, square, unused;
        norm_row_sums(n, x, 0, 0, rest_lanes, &sum, &unused);
        real pivot = (real)(sum * inverse);
        norm_row_sums(n, x, pivot, 1, rest_lanes, &sum, &square);
        double left = sum * inverse; /* what the pivot lacks to the mean */
        double variance = square * inverse - left * left;
        mean[row] = (double)pivot + left;
        rstd[row] = 1 / sqrt((variance > 0 || variance != variance ? variance : 0) + eps);
        vr center = v_splat((real)mean[row]), scale = v_splat((real)rstd[row]);
        vr shift = v_splat((real)(((double)(real)mean[row] - mean[row]) * rstd[row]));
        int64_t i = 0;
        for (; i + VL <= n; i += VL)
            v_store(y + i, v_fma(v_fma(v_load(x + i) - center, scale, shift), v_load(w + i), v_load(b + i)));
        if (i < n)
            v_store_n(y + i,
                      v_fma(v_fma(v_load_n(x + i, n - i) - center, scale, shift), v_load_n(w + i, n - i),
                            v_load_n(b + i, n - i)),
                      n - i);
    }
}

/* With xhat = (x - mean) rstd and g = w dy: dx = rstd (g - sum g / n - xhat sum (g xhat) / n); dw += dy xhat and
 * db += dy. */
static void KERNEL(norm_layer_bwd)(int64_t rows, int64_t n, const real *dy, const real *x, const real *w,
                                   const double *mean, const double *rstd, real *dx, real *dw, real *db)
{
    for (int64_t row = 0; row < rows; row++, x += n, dy += n, dx += n) {
        vr center = v_splat((real)mean[row]), scale = v_splat((real)rstd[row]);
        vr shift = v_splat((real)(((double)(real)mean[row] - mean[row]) * rstd[row]));
        double sum = 0, product = 0;
        for (int64_t start = 0; start < n; start += NORM_BLOCK) {
            int64_t end = n - start < NORM_BLOCK ? n : start + NORM_BLOCK, i = start;
            vr s = v_zero(), p = v_zero();
            for (; i < end; i += VL) {
                int masked = end - i < VL;
                vr d = norm_load(masked, dy + i, end - i); /* zero beyond the end, and so are the products */
                vr xhat = v_fma(norm_load(masked, x + i, end - i) - center, scale, shift);
                vr g = d * norm_load(masked, w + i, end - i);
                s += g;
                p = v_fma(g, xhat, p);
                norm_store(masked, dw + i, v_fma(d, xhat, norm_load(masked, dw + i, end - i)), end - i);
                norm_store(masked, db + i, d + norm_load(masked, db + i, end - i), end - i);
            }
            sum += (double)v_sum(s);
            product += (double)v_sum(p);
        }
        vr s = v_splat((real)(sum / (double)n)), p = v_splat((real)(product / (double)n));
        for (int64_t i = 0; i < n; i += VL) {
            int masked = n - i < VL;
            vr xhat = v_fma(norm_load(masked, x + i, n - i) - center, scale, shift);
            vr g = norm_load(masked, dy + i, n - i) * norm_load(masked, w + i, n - i);
            norm_store(masked, dx + i, scale * (g - s - xhat * p), n - i);
        }
    }
}
