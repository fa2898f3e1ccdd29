/* activation.inc.h - pointwise activations, PReLU, softmax and log-softmax, each pass in one sweep over memory.
 *
 * An activation of activations.def is two functions of vectors: <name>_value(x) is f(x), <name>_gradient(dy, s) is
 * dy f'(x), s being x or f(x) as the list says. The loops around them are written once. */

typedef struct {
    vr a, b, c; /* parameters of an activation, the same in every lane */
} act_params;

typedef vr act_value(vr x, act_params p);
typedef vr act_gradient(vr dy, vr saved, act_params p);

/* y[i] = f(x[i]) */
ALWAYS_INLINE void act_forward(act_value *value, int64_t n, const real *x, real *y, double a, double b, double c)
{
    act_params p = {v_splat((real)a), v_splat((real)b), v_splat((real)c)};
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, value(v_load(x + i), p));
    if (i < n)
        v_store_n(y + i, value(v_load_n(x + i, n - i), p), n - i);
}

/* dx[i] = dy[i] f'(x[i]); where f' is 0, a gradient of inf or NaN ends */
ALWAYS_INLINE void act_backward(act_gradient *gradient, int64_t n, const real *dy, const real *saved, real *dx,
                                double a, double b, double c)
{
    act_params p = {v_splat((real)a), v_splat((real)b), v_splat((real)c)};
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(dx + i, gradient(v_load(dy + i), v_load(saved + i), p));
    if (i < n)
        v_store_n(dx + i, gradient(v_load_n(dy + i, n - i), v_load_n(saved + i, n - i), p), n - i);
}

/* ---- value and gradient of each ---- */

/* max(0, x), from y */
ALWAYS_INLINE vr relu_value(vr x, act_params p) { return (void)p, v_max(v_zero(), x); }
ALWAYS_INLINE vr relu_gradient(vr dy, vr y, act_params p) { return (void)p, v_and(~(y <= 0), dy); } /* NaN passes */

/* 1 / (1 + exp(-x)), from y */
ALWAYS_INLINE vr sigmoid_value(vr x, act_params p) { return (void)p, v_sigmoid(x); }
ALWAYS_INLINE vr sigmoid_gradient(vr dy, vr y, act_params p) { return (void)p, dy * (y * (1 - y)); }

/* tanh(x), from y */
ALWAYS_INLINE vr tanh_value(vr x, act_params p) { return (void)p, v_tanh(x); }
ALWAYS_INLINE vr tanh_gradient(vr dy, vr y, act_params p) { return (void)p, dy * (1 - y * y); }

/* x where positive, else a x */
ALWAYS_INLINE vr leaky_relu_value(vr x, act_params p) { return v_select(x > 0, x, x * p.a); }
ALWAYS_INLINE vr leaky_relu_gradient(vr dy, vr x, act_params p) { return v_select(x > 0, dy, dy * p.a); }

/* b x where positive, else b a (exp(c x) - 1): ELU, SELU and CELU */
ALWAYS_INLINE vr elu_value(vr x, act_params p)
{
    return p.b * v_select(x > 0, x, p.a * v_expm1_negative(v_min(v_zero(), x * p.c)));
}
ALWAYS_INLINE vr elu_gradient(vr dy, vr x, act_params p)
{
    return dy * p.b * v_select(x > 0, v_splat(1), p.a * p.c * v_exp(v_min(v_zero(), x * p.c)));
}

#define ROOT_2_OVER_PI ((real)0.79788456080286535588)
#define INVERSE_ROOT_2_PI ((real)0.39894228040143267794)
#define GELU_CUBIC ((real)0.044715)

/* x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2, as max(0, x) - |x| Phi(-|x|), which loses no digits for negative x. The
 * bound on |x| keeps inf * 0 away. */
ALWAYS_INLINE vr gelu_value(vr x, act_params p)
{
    vr gauss;
    (void)p;
    return v_max(v_zero(), x) - v_min(v_splat((real)1e18), v_abs(x)) * v_normal_tail_and_gauss(x, &gauss);
}
ALWAYS_INLINE vr gelu_gradient(vr dy, vr x, act_params p)
{
    vr gauss, tail = v_normal_tail_and_gauss(x, &gauss), phi = v_select(x > 0, 1 - tail, tail);
    (void)p;
    return dy * v_fma(x * INVERSE_ROOT_2_PI, gauss, phi);
}

/* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 = x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)) */
ALWAYS_INLINE vr gelu_tanh_value(vr x, act_params p)
{
    (void)p;
    return x * v_sigmoid(x * v_fma(x * x, v_splat(2 * ROOT_2_OVER_PI * GELU_CUBIC), v_splat(2 * ROOT_2_OVER_PI)));
}
ALWAYS_INLINE vr gelu_tanh_gradient(vr dy, vr x, act_params p)
{
    vr square = x * x, rate = v_splat(2 * ROOT_2_OVER_PI);
    vr s = v_sigmoid(x * v_fma(square, rate * GELU_CUBIC, rate));
    (void)p;
    return dy * v_fma(x * v_fma(square, rate * (3 * GELU_CUBIC), rate), s * (1 - s), s);
}

/* x sigmoid(x) */
ALWAYS_INLINE vr silu_value(vr x, act_params p) { return (void)p, x * v_sigmoid(x); }
ALWAYS_INLINE vr silu_gradient(vr dy, vr x, act_params p)
{
    vr s = v_sigmoid(x);
    (void)p;
    return dy * s * v_fma(x, 1 - s, v_splat(1));
}

/* tanh(log(1 + e)) = w / (w + 2) with w = e (e + 2); from e = exp(15) on it is 1. */
ALWAYS_INLINE vr mish_tanh(vr x, vr *e)
{
    *e = v_exp(v_min(v_splat(sizeof(real) == 4 ? 15 : 30), x));
    vr w = *e * (*e + 2);
    return w * v_reciprocal(w + 2);
}

/* x tanh(softplus(x)) */
ALWAYS_INLINE vr mish_value(vr x, act_params p)
{
    vr e;
    (void)p;
    return x * mish_tanh(x, &e);
}
ALWAYS_INLINE vr mish_gradient(vr dy, vr x, act_params p)
{
    vr e, t = mish_tanh(x, &e);
    (void)p;
    return dy * v_fma(x * (1 - t * t), e * v_reciprocal(e + 1), t);
}

/* log(1 + exp(a x)) / a, and x itself where a x > b */
ALWAYS_INLINE vr softplus_value(vr x, act_params p)
{
    vr scaled = x * p.a;
    return v_select(scaled > p.b, x, v_softplus(scaled) / p.a);
}
ALWAYS_INLINE vr softplus_gradient(vr dy, vr x, act_params p)
{
    vr scaled = x * p.a;
    return v_select(scaled > p.b, dy, dy * v_sigmoid(scaled));
}

/* log(sigmoid(x)) */
ALWAYS_INLINE vr logsigmoid_value(vr x, act_params p) { return (void)p, -v_softplus(-x); }
ALWAYS_INLINE vr logsigmoid_gradient(vr dy, vr x, act_params p) { return (void)p, dy * v_sigmoid(-x); }

/* x / (1 + |x|) */
ALWAYS_INLINE vr softsign_value(vr x, act_params p) { return (void)p, x / (v_abs(x) + 1); }
ALWAYS_INLINE vr softsign_gradient(vr dy, vr x, act_params p)
{
    vr d = v_abs(x) + 1;
    (void)p;
    return dy / (d * d);
}

/* x - tanh(x) */
ALWAYS_INLINE vr tanhshrink_value(vr x, act_params p) { return (void)p, x - v_tanh(x); }
ALWAYS_INLINE vr tanhshrink_gradient(vr dy, vr x, act_params p)
{
    vr t = v_tanh(x);
    (void)p;
    return dy * t * t;
}

/* x where |x| > a, else 0; NaN stays */
ALWAYS_INLINE vr hardshrink_value(vr x, act_params p) { return v_and(~(v_abs(x) <= p.a), x); }
ALWAYS_INLINE vr hardshrink_gradient(vr dy, vr x, act_params p) { return v_and(~(v_abs(x) <= p.a), dy); }

/* x moved towards 0 by a, and 0 where |x| <= a */
ALWAYS_INLINE vr softshrink_value(vr x, act_params p) { return v_and(~(v_abs(x) <= p.a), x - v_copysign(p.a, x)); }
ALWAYS_INLINE vr softshrink_gradient(vr dy, vr x, act_params p) { return hardshrink_gradient(dy, x, p); }

/* x where above a, else b */
ALWAYS_INLINE vr threshold_value(vr x, act_params p) { return v_select(x <= p.a, p.b, x); }
ALWAYS_INLINE vr threshold_gradient(vr dy, vr x, act_params p) { return v_and(~(x <= p.a), dy); }

/* x clipped to [a, b]; the operand order keeps NaN */
ALWAYS_INLINE vr hardtanh_value(vr x, act_params p) { return v_min(p.b, v_max(p.a, x)); }
ALWAYS_INLINE vr hardtanh_gradient(vr dy, vr x, act_params p) { return v_and((x > p.a) & (x < p.b), dy); }

ALWAYS_INLINE vr hardsigmoid_value(vr x, act_params p)
{
    (void)p;
    return v_min(v_splat(6), v_max(v_zero(), x + 3)) * (real)(1.0 / 6.0);
}
ALWAYS_INLINE vr hardsigmoid_gradient(vr dy, vr x, act_params p)
{
    (void)p;
    return v_and((x > -3) & (x < 3), dy * (real)(1.0 / 6.0));
}

/* x hardsigmoid(x) */
ALWAYS_INLINE vr hardswish_value(vr x, act_params p) { return x * hardsigmoid_value(x, p); }
ALWAYS_INLINE vr hardswish_gradient(vr dy, vr x, act_params p)
{
    (void)p;
    return v_and(x > -3, v_select(x < 3, dy * v_fma(x, v_splat((real)(1.0 / 3.0)), v_splat((real)0.5)), dy));
}

/* exp(x), from y */
ALWAYS_INLINE vr exp_value(vr x, act_params p) { return (void)p, v_exp(x); }
ALWAYS_INLINE vr exp_gradient(vr dy, vr y, act_params p) { return (void)p, dy * y; }

ALWAYS_INLINE vr log_value(vr x, act_params p) { return (void)p, v_log(x); }
ALWAYS_INLINE vr log_gradient(vr dy, vr x, act_params p) { return (void)p, dy / x; }

ALWAYS_INLINE vr log1p_value(vr x, act_params p) { return (void)p, v_log1p(x); }
ALWAYS_INLINE vr log1p_gradient(vr dy, vr x, act_params p) { return (void)p, dy / (x + 1); }

/* erf(x); its derivative is 2 / sqrt(pi) exp(-x^2) */
ALWAYS_INLINE vr erf_value(vr x, act_params p) { return (void)p, v_erf(x); }
ALWAYS_INLINE vr erf_gradient(vr dy, vr x, act_params p)
{
    (void)p;
    return dy * (real)1.12837916709551257390 * v_exp(-(x * x));
}

#define FNN_ACTIVATION(name, saves, work)                                                                      \
    static void KERNEL(name##_fwd)(int64_t n, const real *x, real *y, double a, double b, double c)            \
    {                                                                                                          \
        act_forward(name##_value, n, x, y, a, b, c);                                                           \
    }                                                                                                          \
    static void KERNEL(name##_bwd)(int64_t n, const real *dy, const real *saved, real *dx, double a, double b, \
                                   double c)                                                                   \
    {                                                                                                          \
        act_backward(name##_gradient, n, dy, saved, dx, a, b, c);                                              \
    }
#include "../activations.def"
#undef FNN_ACTIVATION

/* ---- PReLU: a slope for each channel ---- */

/* x, y (rows, channels), w (channels): y = x where positive, else w x */
static void KERNEL(prelu_fwd)(int64_t rows, int64_t channels, const real *x, const real *w, real *y)
{
    for (int64_t r = 0; r < rows; r++, x += channels, y += channels)
        for (int64_t j = 0; j < channels; j += VL) {
            int64_t n = channels - j < VL ? channels - j : VL;
            vr xj = v_load_upto(x + j, n);
            v_store_upto(y + j, v_select(xj > 0, xj, xj * v_load_upto(w + j, n)), n);
        }
}

/* dx = dy where x > 0, else w dy; dw (channels) += the sum over the rows of dy x where x <= 0 */
static void KERNEL(prelu_bwd)(int64_t rows, int64_t channels, const real *dy, const real *x, const real *w, real *dx,
                              real *dw)
{
    for (int64_t r = 0; r < rows; r++, x += channels, dy += channels, dx += channels)
        for (int64_t j = 0; j < channels; j += VL) {
            int64_t n = channels - j < VL ? channels - j : VL;
            vr xj = v_load_upto(x + j, n), g = v_load_upto(dy + j, n);
            v_store_upto(dx + j, v_select(xj > 0, g, g * v_load_upto(w + j, n)), n);
            v_store_upto(dw + j, v_load_upto(dw + j, n) + v_select(xj > 0, v_zero(), g * xj), n);
        }
}

#include "softmax.inc.h"
