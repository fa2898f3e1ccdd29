/* cross_entropy.inc.h - softmax and cross-entropy in one.
 *
 *   loss[r] = sum_c q[r, c] (log_sum[r] - d[r, c]),   d = x - max_c x,   log_sum = log sum_c exp(d)
 *   dx[r, c] = dy[r] (p[r, c] sum_k q[r, k] - q[r, c]),   p = exp(d) / sum_c exp(d)
 *
 * where q[r, c] = w[c] ((1 - s) t[r, c] + s / C): t is the target distribution or, given an index, 1 at that class; s
 * is the label smoothing and w the class weights. Both d and log_sum are of one sign, so nothing cancels, and the
 * differences keep their digits however large the logits are. The forward pass leaves the maximum and 1 / sum of each
 * row, from which the backward pass has the probabilities again in one sweep. */

/* The sum of exp(x - top) over a row, and the sum of w (x - top), which label smoothing wants. */
ALWAYS_INLINE vr row_exp_sum(int64_t classes, const real *x, vr top, const int smooth, const real *w, vr *weighted)
{
    vr sum = v_zero(), dot = v_zero();
    for (int64_t i = 0; i < classes; i += VL) {
        int64_t n = classes - i < VL ? classes - i : VL;
        vr d = v_load_or(x + i, n, v_splat(-(real)INFINITY)) - top;
        sum += v_exp(d);
        if (smooth) {
            vr wi = w ? v_load_upto(w + i, n) : v_splat(1);
            dot += v_and((wi != 0) & v_lanes_below(n), wi * d);
        }
    }
    *weighted = dot;
    return sum;
}

/* x (rows, classes), target (rows), weight (classes) or NULL, weight_sum the sum of all weights -> loss (rows), counted
 * (rows): the weight of the target's class, 0 if ignored; top and inverse (rows). A target that is no class counts as
 * ignored. */
static void KERNEL(cross_entropy_fwd)(int64_t rows, int64_t classes, const real *x, const int64_t *target,
                                      const real *weight, double weight_sum, int64_t ignored, double smoothing,
                                      real *loss, real *counted, real *top, real *inverse)
{
    real sums[VL], dots[VL], logs[VL];
    for (int64_t start = 0; start < rows; start += VL) {
        int64_t here = rows - start < VL ? rows - start : VL;
        for (int64_t i = 0; i < here; i++) {
            const real *row = x + (start + i) * classes;
            vr dot;
            real highest = row_max(classes, row);
            vr sum = smoothing != 0 ? row_exp_sum(classes, row, v_splat(highest), 1, weight, &dot)
                                    : row_exp_sum(classes, row, v_splat(highest), 0, weight, &dot);
            top[start + i] = highest;
            sums[i] = v_sum(sum);
            dots[i] = smoothing != 0 ? v_sum(dot) : 0;
        }
        vr sum = v_load_or(sums, here, v_splat(1));
        v_store(logs, v_log(sum));
        v_store_upto(inverse + start, 1 / sum, here);
        for (int64_t i = 0; i < here; i++) {
            int64_t r = start + i, t = target[r];
            bool counts = t != ignored && t >= 0 && t < classes;
            real w = !counts ? 0 : weight ? weight[t] : 1;
            real at_target = w != 0 ? w * (logs[i] - (x[r * classes + t] - top[r])) : 0;
            real spread = smoothing != 0 ? (real)weight_sum * logs[i] - dots[i] : 0;
            counted[r] = w;
            loss[r] = counts ? (real)(1 - smoothing) * at_target + (real)(smoothing / (double)classes) * spread : 0;
        }
    }
}

/* dy: one gradient a row, dy_step 1, or one for all, dy_step 0 */
static void KERNEL(cross_entropy_bwd)(int64_t rows, int64_t classes, const real *dy, int64_t dy_step, double scale,
                                      const real *x, const int64_t *target, const real *weight, double weight_sum,
                                      int64_t ignored, double smoothing, const real *top, const real *inverse, real *dx)
{
    real even = (real)(smoothing / (double)classes);
    for (int64_t r = 0; r < rows; r++, x += classes, dx += classes) {
        int64_t t = target[r];
        if (t == ignored || t < 0 || t >= classes) {
            memset(dx, 0, sizeof(real) * (size_t)classes);
            continue;
        }
        real g = dy[r * dy_step] * (real)scale, w = weight ? weight[t] : 1;
        real at_target = (real)(1 - smoothing) * w, all = at_target + even * (real)weight_sum;
        vr highest = v_splat(top[r]), rate = v_splat(inverse[r] * all * g), minus = v_splat(-even * g);
        for (int64_t i = 0; i < classes; i += VL) {
            int64_t n = classes - i < VL ? classes - i : VL;
            vr out = rate * v_exp(v_load_upto(x + i, n) - highest);
            if (even != 0)
                out = weight ? v_fma(minus, v_load_upto(weight + i, n), out) : out + minus;
            v_store_upto(dx + i, out, n);
        }
        dx[t] -= at_target * g;
    }
}

/* q of one vector of classes */
ALWAYS_INLINE vr soft_target(const real *t, const real *weight, vr keep, vr even, int64_t n)
{
    vr q = v_fma(keep, v_load_upto(t, n), even);
    return v_and(v_lanes_below(n), weight ? q * v_load_upto(weight, n) : q);
}

/* The same for target distributions (rows, classes). */
static void KERNEL(soft_cross_entropy_fwd)(int64_t rows, int64_t classes, const real *x, const real *target,
                                           const real *weight, double smoothing, real *loss, real *top, real *inverse)
{
    vr keep = v_splat((real)(1 - smoothing)), even = v_splat((real)(smoothing / (double)classes));
    for (int64_t r = 0; r < rows; r++, x += classes, target += classes) {
        vr highest = v_splat(row_max(classes, x)), unused, mass = v_zero(), dot = v_zero();
        vr sum = v_splat(v_sum(row_exp_sum(classes, x, highest, 0, weight, &unused)));
        for (int64_t i = 0; i < classes; i += VL) {
            int64_t n = classes - i < VL ? classes - i : VL;
            vr q = soft_target(target + i, weight ? weight + i : weight, keep, even, n);
            mass += q;
            dot += v_and(q != 0, q * (v_load_upto(x + i, n) - highest));
        }
        top[r] = highest[0];
        inverse[r] = 1 / sum[0];
        loss[r] = v_sum(mass) * v_log(sum)[0] - v_sum(dot);
    }
}

static void KERNEL(soft_cross_entropy_bwd)(int64_t rows, int64_t classes, const real *dy, int64_t dy_step, double scale,
                                           const real *x, const real *target, const real *weight, double smoothing,
                                           const real *top, const real *inverse, real *dx)
{
    vr keep = v_splat((real)(1 - smoothing)), even = v_splat((real)(smoothing / (double)classes));
    for (int64_t r = 0; r < rows; r++, x += classes, target += classes, dx += classes) {
        vr highest = v_splat(top[r]), g = v_splat(dy[r * dy_step] * (real)scale), mass = v_zero();
        for (int64_t i = 0; i < classes; i += VL) {
            int64_t n = classes - i < VL ? classes - i : VL;
            mass += soft_target(target + i, weight ? weight + i : weight, keep, even, n);
        }
        vr rate = v_splat(inverse[r] * v_sum(mass));
        for (int64_t i = 0; i < classes; i += VL) {
            int64_t n = classes - i < VL ? classes - i : VL;
            vr q = soft_target(target + i, weight ? weight + i : weight, keep, even, n);
            v_store_upto(dx + i, g * (rate * v_exp(v_load_upto(x + i, n) - highest) - q), n);
        }
    }
}
