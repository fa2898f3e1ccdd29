/* optim.inc.h - one step of the optimisers on elements [first, first + n) of one parameter; gradient clipping.
 *
 *   w, g, state[0..2] (span->n)
 *
 * Every element of every array is read once and written once. In all of them the gradient is first turned over for
 * `maximize`, then weight decay adds weight_decay * w to it (decoupled: shrinks w itself). The kernels are templates
 * over one vector of `lanes` elements: the loop calls them with whole vectors, then once with what is left. */

ALWAYS_INLINE vr optim_load(const real *p, int64_t lanes) { return lanes >= VL ? v_load(p) : v_load_n(p, lanes); }

ALWAYS_INLINE void optim_store(real *p, vr a, int64_t lanes)
{
    if (lanes >= VL)
        v_store(p, a);
    else
        v_store_n(p, a, lanes);
}

/* What every method does to the gradient. */
typedef struct {
    vr sign, decay;
    bool decays; /* a test and not a product with zero, which would spread infinite weights */
} optim_gradient;

ALWAYS_INLINE optim_gradient optim_gradient_of(double weight_decay, bool maximize)
{
    optim_gradient o = {v_splat(maximize ? -1 : 1), v_splat((real)weight_decay), weight_decay != 0};
    return o;
}

ALWAYS_INLINE vr optim_effective(const optim_gradient *o, vr g, vr w)
{
    g *= o->sign;
    return o->decays ? v_fma(o->decay, w, g) : g;
}

/* ---- SGD:  v = momentum v + take g;  w -= lr v, with Nesterov  w -= lr (g + momentum v);  take = factor[0] ---- */

typedef struct {
    optim_gradient gradient;
    vr lr, momentum, take;
    bool nesterov;
} sgd_constants;

ALWAYS_INLINE void sgd_vector(const sgd_constants *c, int64_t lanes, real *w, const real *g, real *v)
{
    vr wi = optim_load(w, lanes), step = optim_effective(&c->gradient, optim_load(g, lanes), wi);
    if (v) {
        vr vi_new = v_fma(c->momentum, optim_load(v, lanes), c->take * step);
        optim_store(v, vi_new, lanes);
        step = c->nesterov ? v_fma(c->momentum, vi_new, step) : vi_new;
    }
    optim_store(w, wi - c->lr * step, lanes);
}

static void KERNEL(optim_sgd)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const fnn_sgd *o = argument;
    real *w = (real *)span->w + first, *v = span->state[0] ? (real *)span->state[0] + first : NULL;
    const real *g = (const real *)span->g + first;
    const sgd_constants c = {optim_gradient_of(o->weight_decay, o->maximize), v_splat((real)o->lr),
                             v_splat((real)o->momentum), v_splat((real)span->factor[0]), o->nesterov};
    int64_t i = 0;
    if (v)
        for (; i + VL <= n; i += VL)
            sgd_vector(&c, VL, w + i, g + i, v + i);
    else
        for (; i + VL <= n; i += VL)
            sgd_vector(&c, VL, w + i, g + i, NULL);
    if (i < n)
        sgd_vector(&c, n - i, w + i, g + i, v ? v + i : NULL);
}

/* ---- AdaGrad:  s += g^2;  w -= rate g / (sqrt(s) + eps);  rate = factor[0] ---- */

typedef struct {
    optim_gradient gradient;
    vr rate, eps;
} adagrad_constants;

ALWAYS_INLINE void adagrad_vector(const adagrad_constants *c, int64_t lanes, real *w, const real *g, real *s)
{
    vr wi = optim_load(w, lanes), gi = optim_effective(&c->gradient, optim_load(g, lanes), wi);
    vr si = v_fma(gi, gi, optim_load(s, lanes));
    optim_store(s, si, lanes);
    optim_store(w, wi - c->rate * gi / (v_sqrt(si) + c->eps), lanes);
}

static void KERNEL(optim_adagrad)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const fnn_adagrad *o = argument;
    real *w = (real *)span->w + first, *s = (real *)span->state[0] + first;
    const real *g = (const real *)span->g + first;
    const adagrad_constants c = {optim_gradient_of(o->weight_decay, o->maximize), v_splat((real)span->factor[0]),
                                 v_splat((real)o->eps)};
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        adagrad_vector(&c, VL, w + i, g + i, s + i);
    if (i < n)
        adagrad_vector(&c, n - i, w + i, g + i, s + i);
}

/* ---- Adadelta:  s = rho s + (1 - rho) g^2;  d = g sqrt((h + eps) / (s + eps));  h = rho h + (1 - rho) d^2;
 *                 w -= lr d.  One root of the quotient instead of a quotient of two roots. ---- */

typedef struct {
    optim_gradient gradient;
    vr lr, rho, rest, eps;
} adadelta_constants;

ALWAYS_INLINE void adadelta_vector(const adadelta_constants *c, int64_t lanes, real *w, const real *g, real *s, real *h)
{
    vr wi = optim_load(w, lanes), gi = optim_effective(&c->gradient, optim_load(g, lanes), wi);
    vr hi = optim_load(h, lanes);
    vr si = v_fma(c->rho, optim_load(s, lanes), c->rest * gi * gi);
    vr d = gi * v_sqrt((hi + c->eps) / (si + c->eps));
    optim_store(s, si, lanes);
    optim_store(h, v_fma(c->rho, hi, c->rest * d * d), lanes);
    optim_store(w, wi - c->lr * d, lanes);
}

static void KERNEL(optim_adadelta)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const fnn_adadelta *o = argument;
    real *w = (real *)span->w + first, *s = (real *)span->state[0] + first, *h = (real *)span->state[1] + first;
    const real *g = (const real *)span->g + first;
    const adadelta_constants c = {optim_gradient_of(o->weight_decay, o->maximize), v_splat((real)o->lr),
                                  v_splat((real)o->rho), v_splat((real)(1 - o->rho)), v_splat((real)o->eps)};
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        adadelta_vector(&c, VL, w + i, g + i, s + i, h + i);
    if (i < n)
        adadelta_vector(&c, n - i, w + i, g + i, s + i, h + i);
}

/* ---- RMSprop:  s = alpha s + (1 - alpha) g^2;  u = g / (sqrt(s) + eps), centred  u = g / (sqrt(s - m^2) + eps)
 *                with m = alpha m + (1 - alpha) g;  w -= lr u, or with momentum  v = momentum v + u;  w -= lr v ---- */

typedef struct {
    optim_gradient gradient;
    vr lr, alpha, rest, eps, momentum;
} rmsprop_constants;

ALWAYS_INLINE void rmsprop_vector(const rmsprop_constants *c, int64_t lanes, real *w, const real *g, real *s, real *v,
                                  real *m)
{
    vr wi = optim_load(w, lanes), gi = optim_effective(&c->gradient, optim_load(g, lanes), wi);
    vr si = v_fma(c->alpha, optim_load(s, lanes), c->rest * gi * gi), second = si;
    optim_store(s, si, lanes);
    if (m) {
        vr mi = v_fma(c->alpha, optim_load(m, lanes), c->rest * gi);
        optim_store(m, mi, lanes);
        second = si - mi * mi;
    }
    vr step = gi / (v_sqrt(second) + c->eps);
    if (v) {
        step = v_fma(c->momentum, optim_load(v, lanes), step);
        optim_store(v, step, lanes);
    }
    optim_store(w, wi - c->lr * step, lanes);
}

static void KERNEL(optim_rmsprop)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const fnn_rmsprop *o = argument;
    real *w = (real *)span->w + first, *s = (real *)span->state[0] + first;
    real *v = span->state[1] ? (real *)span->state[1] + first : NULL;
    real *m = span->state[2] ? (real *)span->state[2] + first : NULL;
    const real *g = (const real *)span->g + first;
    const rmsprop_constants c = {optim_gradient_of(o->weight_decay, o->maximize),
                                 v_splat((real)o->lr),
                                 v_splat((real)o->alpha),
                                 v_splat((real)(1 - o->alpha)),
                                 v_splat((real)o->eps),
                                 v_splat((real)o->momentum)};
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        rmsprop_vector(&c, VL, w + i, g + i, s + i, v ? v + i : NULL, m ? m + i : NULL);
    if (i < n)
        rmsprop_vector(&c, n - i, w + i, g + i, s + i, v ? v + i : NULL, m ? m + i : NULL);
}

/* ---- Adam:  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  w = shrink w - rate m / (root sqrt(v) +
 * eps) with  rate = lr / (1 - beta1^t) = factor[0],  root = 1 / sqrt(1 - beta2^t) = factor[1]; AMSGrad takes the
 * largest v so far, x, for v under the root ---- */

typedef struct {
    optim_gradient gradient;
    vr rate, root, beta1, rest1, beta2, rest2, eps, shrink;
} adam_constants;

ALWAYS_INLINE void adam_vector(const adam_constants *c, int64_t lanes, real *w, const real *g, real *m, real *v,
                               real *x)
{
    vr wi = optim_load(w, lanes), gi = optim_effective(&c->gradient, optim_load(g, lanes), wi);
    vr mi = v_fma(c->beta1, optim_load(m, lanes), c->rest1 * gi);
    vr vi_new = v_fma(c->beta2, optim_load(v, lanes), c->rest2 * gi * gi), second = vi_new;
    optim_store(m, mi, lanes);
    optim_store(v, vi_new, lanes);
    if (x) {
        second = v_max(optim_load(x, lanes), vi_new);
        optim_store(x, second, lanes);
    }
    vr step = c->rate * mi / v_fma(c->root, v_sqrt(second), c->eps);
    optim_store(w, c->shrink * wi - step, lanes);
}

static void KERNEL(optim_adam)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const fnn_adam *o = argument;
    real *w = (real *)span->w + first, *m = (real *)span->state[0] + first, *v = (real *)span->state[1] + first;
    real *x = span->state[2] ? (real *)span->state[2] + first : NULL;
    const real *g = (const real *)span->g + first;
    const adam_constants c = {optim_gradient_of(o->decoupled ? 0 : o->weight_decay, o->maximize),
                              v_splat((real)span->factor[0]),
                              v_splat((real)span->factor[1]),
                              v_splat((real)o->beta1),
                              v_splat((real)(1 - o->beta1)),
                              v_splat((real)o->beta2),
                              v_splat((real)(1 - o->beta2)),
                              v_splat((real)o->eps),
                              v_splat((real)(o->decoupled ? 1 - o->lr * o->weight_decay : 1))};
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        adam_vector(&c, VL, w + i, g + i, m + i, v + i, x ? x + i : NULL);
    if (i < n)
        adam_vector(&c, n - i, w + i, g + i, m + i, v + i, x ? x + i : NULL);
}

/* ---- gradient clipping: span->w is the gradient, `argument` a double ---- */

/* *argument += sum of squares. Four sums of `real` lanes, short enough not to lose digits; blocks add as doubles. */
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
    *(double *)argument += (double)v_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
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
