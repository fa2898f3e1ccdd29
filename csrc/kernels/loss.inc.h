/* loss.inc.h - losses of an element and its target, and cross-entropy of rows of logits.
 *
 * A loss of losses.def is two functions of vectors: <name>_loss(x, t, a) and its derivative in x, <name>_loss_slope. */

typedef vr loss_function(vr x, vr t, vr a);

/* (x - t)^2 */
ALWAYS_INLINE vr mse_loss(vr x, vr t, vr a) { return (void)a, (x - t) * (x - t); }
ALWAYS_INLINE vr mse_loss_slope(vr x, vr t, vr a) { return (void)a, (x - t) * 2; }

/* |x - t| */
ALWAYS_INLINE vr l1_loss(vr x, vr t, vr a) { return (void)a, v_abs(x - t); }
ALWAYS_INLINE vr l1_loss_slope(vr x, vr t, vr a)
{
    (void)a;
    return v_and(x > t, v_splat(1)) - v_and(x < t, v_splat(1));
}

/* d^2 / (2 a) where |d| < a, else |d| - a / 2 */
ALWAYS_INLINE vr smooth_l1_loss(vr x, vr t, vr a)
{
    vr d = v_abs(x - t);
    return v_select(d < a, d * d / (a * 2), d - a * (real)0.5);
}
ALWAYS_INLINE vr smooth_l1_loss_slope(vr x, vr t, vr a) { return v_min(v_splat(1), v_max(v_splat(-1), (x - t) / a)); }

/* d^2 / 2 where |d| <= a, else a (|d| - a / 2) */
ALWAYS_INLINE vr huber_loss(vr x, vr t, vr a)
{
    vr d = v_abs(x - t);
    return v_select(d <= a, d * d * (real)0.5, a * (d - a * (real)0.5));
}
ALWAYS_INLINE vr huber_loss_slope(vr x, vr t, vr a) { return v_min(a, v_max(-a, x - t)); }

/* -(t ln x + (1 - t) ln(1 - x)), logarithms not below -100; the derivative's divisor is at least 1e-12 */
ALWAYS_INLINE vr bce_loss(vr x, vr t, vr a)
{
    vr floor = v_splat(-100);
    (void)a;
    return (t - 1) * v_max(floor, v_log1p(-x)) - t * v_max(floor, v_log(x));
}
ALWAYS_INLINE vr bce_loss_slope(vr x, vr t, vr a)
{
    (void)a;
    return (x - t) / v_max(v_splat((real)1e-12), x * (1 - x));
}

/* -(t ln s(x) + (1 - t) ln s(-x)) = (1 - t) x + ln(1 + exp(-x)), s the sigmoid */
ALWAYS_INLINE vr bce_with_logits_loss(vr x, vr t, vr a)
{
    (void)a;
    return v_max(v_zero(), x) - x * t + v_log1p(v_exp(-v_abs(x)));
}
ALWAYS_INLINE vr bce_with_logits_loss_slope(vr x, vr t, vr a) { return (void)a, v_sigmoid(x) - t; }

/* t (ln t - x), 0 where t is 0 */
ALWAYS_INLINE vr kl_div_loss(vr x, vr t, vr a)
{
    (void)a;
    return v_select(t == 0, v_zero(), t * (v_log(t) - x));
}
ALWAYS_INLINE vr kl_div_loss_slope(vr x, vr t, vr a) { return (void)x, (void)a, -t; }

/* The same of t given by its logarithm */
ALWAYS_INLINE vr kl_div_log_loss(vr x, vr t, vr a) { return (void)a, v_exp(t) * (t - x); }
ALWAYS_INLINE vr kl_div_log_loss_slope(vr x, vr t, vr a) { return (void)x, (void)a, -v_exp(t); }

/* ln(1 + exp(-t x)) for t of -1 or 1 */
ALWAYS_INLINE vr soft_margin_loss(vr x, vr t, vr a) { return (void)a, v_softplus(-t * x); }
ALWAYS_INLINE vr soft_margin_loss_slope(vr x, vr t, vr a) { return (void)a, -t * v_sigmoid(-t * x); }

/* x for t of 1, max(0, a - x) for t of -1 (for any other t their sum, as in PyTorch) */
ALWAYS_INLINE vr hinge_embedding_loss(vr x, vr t, vr a)
{
    return v_and(~(t == -1), x) + v_and(~(t == 1), v_max(v_zero(), a - x));
}
ALWAYS_INLINE vr hinge_embedding_loss_slope(vr x, vr t, vr a)
{
    return v_and(~(t == -1), v_splat(1)) - v_and(~(t == 1) & (x <= a), v_splat(1));
}

/* x - t ln(x + a): minus the logarithm of Poisson's law of rate x, but for terms without x */
ALWAYS_INLINE vr poisson_nll_loss(vr x, vr t, vr a) { return x - t * v_log(x + a); }
ALWAYS_INLINE vr poisson_nll_loss_slope(vr x, vr t, vr a) { return 1 - t / (x + a); }

/* The same of the rate given by its logarithm */
ALWAYS_INLINE vr poisson_nll_log_loss(vr x, vr t, vr a) { return (void)a, v_exp(x) - t * x; }
ALWAYS_INLINE vr poisson_nll_log_loss_slope(vr x, vr t, vr a) { return (void)a, v_exp(x) - t; }

/* y[i] = loss(x[i], t[i]) */
ALWAYS_INLINE void loss_each(loss_function *loss, int64_t n, const real *x, const real *t, double a, real *y)
{
    for (int64_t i = 0; i < n; i += VL) {
        int64_t here = n - i < VL ? n - i : VL;
        v_store_upto(y + i, loss(v_load_upto(x + i, here), v_load_upto(t + i, here), v_splat((real)a)), here);
    }
}

/* total = sum_i loss(x[i], t[i]), summed as reduce.inc.h does */
ALWAYS_INLINE void loss_total(loss_function *loss, int64_t n, const real *x, const real *t, double a, double *total)
{
    *total = 0;
    for (int64_t start = 0; start < n; start += 512) {
        int64_t stop = n - start < 512 ? n : start + 512;
        vr sum = v_zero();
        for (int64_t i = start; i < stop; i += VL) {
            int64_t here = stop - i < VL ? stop - i : VL;
            vr each = loss(v_load_upto(x + i, here), v_load_upto(t + i, here), v_splat((real)a));
            sum += here < VL ? v_and(v_lanes_below(here), each) : each;
        }
        *total += v_sum(sum);
    }
}

/* dx[i] = scale dy[i] slope(x[i], t[i]); dy may be NULL for ones */
ALWAYS_INLINE void loss_backward(loss_function *slope, int64_t n, const real *dy, double scale, const real *x,
                                 const real *t, double a, real *dx)
{
    for (int64_t i = 0; i < n; i += VL) {
        int64_t here = n - i < VL ? n - i : VL;
        vr g = slope(v_load_upto(x + i, here), v_load_upto(t + i, here), v_splat((real)a)) * (real)scale;
        v_store_upto(dx + i, dy ? g * v_load_upto(dy + i, here) : g, here);
    }
}

#define FNN_LOSS(name, work)                                                                                   \
    static void KERNEL(name##_loss_fwd)(int64_t n, const real *x, const real *t, double a, real *y)            \
    {                                                                                                          \
        loss_each(name##_loss, n, x, t, a, y);                                                                 \
    }                                                                                                          \
    static void KERNEL(name##_loss_sum)(int64_t n, const real *x, const real *t, double a, double *total)      \
    {                                                                                                          \
        loss_total(name##_loss, n, x, t, a, total);                                                            \
    }                                                                                                          \
    static void KERNEL(name##_loss_bwd)(int64_t n, const real *dy, double scale, const real *x, const real *t, \
                                        double a, real *dx)                                                    \
    {                                                                                                          \
        loss_backward(name##_loss_slope, n, dy, scale, x, t, a, dx);                                           \
    }
#include "../losses.def"
#undef FNN_LOSS

#include "cross_entropy.inc.h"
