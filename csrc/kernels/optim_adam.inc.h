/* optim_adam.inc.h - one step of Adam and what descends from it: methods with a first and a second moment.
 * The form is that of optim.inc.h. */

/* ---- Adam:  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  w = shrink w - rate m / (root sqrt(v) +
 * eps) with  rate = lr / (1 - beta1^t) = factor[0],  root = 1 / sqrt(1 - beta2^t) = factor[1]; AMSGrad takes the
 * largest v so far, x, for v under the root; eps inside makes the denominator  root sqrt(v + eps) ---- */

typedef struct {
    optim_gradient gradient;
    vr rate, root, beta1, rest1, beta2, rest2, eps;
    bool eps_inside;
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
    vr below = c->eps_inside ? c->root * v_sqrt(second + c->eps) : v_fma(c->root, v_sqrt(second), c->eps);
    optim_store(w, c->gradient.shrink * wi - c->rate * mi / below, lanes);
}

static void KERNEL(optim_adam)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const fnn_adam *o = argument;
    real *w = (real *)span->w + first, *m = optim_state(span, 0, first), *v = optim_state(span, 1, first);
    real *x = optim_state(span, 2, first);
    const real *g = (const real *)span->g + first;
    const adam_constants c = {optim_gradient_of(&o->penalty, o->lr),
                              v_splat((real)span->factor[0]),
                              v_splat((real)span->factor[1]),
                              v_splat((real)o->beta1),
                              v_splat((real)(1 - o->beta1)),
                              v_splat((real)o->beta2),
                              v_splat((real)(1 - o->beta2)),
                              v_splat((real)o->eps),
                              o->eps_inside};
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        adam_vector(&c, VL, w + i, g + i, m + i, v + i, x ? x + i : NULL);
    if (i < n)
        adam_vector(&c, n - i, w + i, g + i, m + i, v + i, x ? x + i : NULL);
}

/* What the descendants share: the options as vectors, and the factors of this step. */
typedef struct {
    optim_gradient gradient;
    vr factor[3], lr, beta1, rest1, beta2, rest2, eps;
} betas_constants;

ALWAYS_INLINE betas_constants betas_constants_of(const fnn_betas *o, const fnn_span *span)
{
    betas_constants c = {
        optim_gradient_of(&o->penalty, o->lr),
        {v_splat((real)span->factor[0]), v_splat((real)span->factor[1]), v_splat((real)span->factor[2])},
        v_splat((real)o->lr),
        v_splat((real)o->beta1),
        v_splat((real)(1 - o->beta1)),
        v_splat((real)o->beta2),
        v_splat((real)(1 - o->beta2)),
        v_splat((real)o->eps)};
    return c;
}

/* ---- NAdam:  m, v as Adam;  w -= (factor[0] g + factor[1] m) / (factor[2] sqrt(v) + eps) ---- */

ALWAYS_INLINE void nadam_vector(const betas_constants *c, int64_t lanes, real *w, const real *g, real *m, real *v)
{
    vr wi = optim_load(w, lanes), gi = optim_effective(&c->gradient, optim_load(g, lanes), wi);
    vr mi = v_fma(c->beta1, optim_load(m, lanes), c->rest1 * gi);
    vr vi_new = v_fma(c->beta2, optim_load(v, lanes), c->rest2 * gi * gi);
    optim_store(m, mi, lanes);
    optim_store(v, vi_new, lanes);
    vr step = v_fma(c->factor[0], gi, c->factor[1] * mi) / v_fma(c->factor[2], v_sqrt(vi_new), c->eps);
    optim_store(w, c->gradient.shrink * wi - step, lanes);
}

static void KERNEL(optim_nadam)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const betas_constants c = betas_constants_of(argument, span);
    real *w = (real *)span->w + first, *m = optim_state(span, 0, first), *v = optim_state(span, 1, first);
    const real *g = (const real *)span->g + first;
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        nadam_vector(&c, VL, w + i, g + i, m + i, v + i);
    if (i < n)
        nadam_vector(&c, n - i, w + i, g + i, m + i, v + i);
}

/* ---- RAdam:  m, v as Adam;  w -= factor[0] m / (sqrt(v) + eps), or  w -= factor[1] m  while factor[0] is 0, which it
 *              is until the variance of v is bounded ---- */

ALWAYS_INLINE void radam_vector(const betas_constants *c, bool rectified, int64_t lanes, real *w, const real *g,
                                real *m, real *v)
{
    vr wi = optim_load(w, lanes), gi = optim_effective(&c->gradient, optim_load(g, lanes), wi);
    vr mi = v_fma(c->beta1, optim_load(m, lanes), c->rest1 * gi);
    vr vi_new = v_fma(c->beta2, optim_load(v, lanes), c->rest2 * gi * gi);
    optim_store(m, mi, lanes);
    optim_store(v, vi_new, lanes);
    vr step = rectified ? c->factor[0] * mi / (v_sqrt(vi_new) + c->eps) : c->factor[1] * mi;
    optim_store(w, c->gradient.shrink * wi - step, lanes);
}

static void KERNEL(optim_radam)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const betas_constants c = betas_constants_of(argument, span);
    real *w = (real *)span->w + first, *m = optim_state(span, 0, first), *v = optim_state(span, 1, first);
    const real *g = (const real *)span->g + first;
    const bool rectified = span->factor[0] != 0;
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        radam_vector(&c, rectified, VL, w + i, g + i, m + i, v + i);
    if (i < n)
        radam_vector(&c, rectified, n - i, w + i, g + i, m + i, v + i);
}

/* ---- Adamax:  m as Adam;  u = max(beta2 u, |g| + eps);  w -= factor[0] m / u;  factor[0] = lr / (1 - beta1^t).
 *               A NaN gradient stays one: v_max returns its second operand then. ---- */

ALWAYS_INLINE void adamax_vector(const betas_constants *c, int64_t lanes, real *w, const real *g, real *m, real *u)
{
    vr wi = optim_load(w, lanes), gi = optim_effective(&c->gradient, optim_load(g, lanes), wi);
    vr mi = v_fma(c->beta1, optim_load(m, lanes), c->rest1 * gi);
    vr ui = v_max(c->beta2 * optim_load(u, lanes), v_abs(gi) + c->eps);
    optim_store(m, mi, lanes);
    optim_store(u, ui, lanes);
    optim_store(w, c->gradient.shrink * wi - c->factor[0] * mi / ui, lanes);
}

static void KERNEL(optim_adamax)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const betas_constants c = betas_constants_of(argument, span);
    real *w = (real *)span->w + first, *m = optim_state(span, 0, first), *u = optim_state(span, 1, first);
    const real *g = (const real *)span->g + first;
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        adamax_vector(&c, VL, w + i, g + i, m + i, u + i);
    if (i < n)
        adamax_vector(&c, n - i, w + i, g + i, m + i, u + i);
}

/* ---- Lion:  w -= lr sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g. A NaN has the sign 0, and stays in
 *             m. ---- */

ALWAYS_INLINE void lion_vector(const betas_constants *c, int64_t lanes, real *w, const real *g, real *m)
{
    vr wi = optim_load(w, lanes), gi = optim_effective(&c->gradient, optim_load(g, lanes), wi);
    vr mi = optim_load(m, lanes), way = v_fma(c->beta1, mi, c->rest1 * gi);
    optim_store(m, v_fma(c->beta2, mi, c->rest2 * gi), lanes);
    vr step = v_and(way > v_zero(), c->lr) - v_and(way < v_zero(), c->lr);
    optim_store(w, c->gradient.shrink * wi - step, lanes);
}

static void KERNEL(optim_lion)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const betas_constants c = betas_constants_of(argument, span);
    real *w = (real *)span->w + first, *m = optim_state(span, 0, first);
    const real *g = (const real *)span->g + first;
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        lion_vector(&c, VL, w + i, g + i, m + i);
    if (i < n)
        lion_vector(&c, n - i, w + i, g + i, m + i);
}

/* ---- LAMB:  m, v as Adam;  r = factor[0] m / (factor[1] sqrt(v) + eps) + decay w;  w -= factor[2] r, with
 *             factor[2] = lr |w| / |r|.  The first pass moves m and v and adds up the squares of w and r. ---- */

ALWAYS_INLINE vr lamb_direction(const betas_constants *c, vr decay, vr w, vr m, vr v)
{
    return v_fma(decay, w, c->factor[0] * m / v_fma(c->factor[1], v_sqrt(v), c->eps));
}

static void KERNEL(optim_lamb_moments)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    fnn_span_piece *piece = argument;
    const fnn_betas *o = piece->options;
    const betas_constants c = betas_constants_of(o, span);
    const vr decay = v_splat((real)(o->penalty.decoupled ? o->penalty.weight_decay : 0));
    const real *w = (const real *)span->w + first, *g = (const real *)span->g + first;
    real *m = optim_state(span, 0, first), *v = optim_state(span, 1, first);
    vr ww = v_zero(), rr = v_zero();
    for (int64_t i = 0; i < n; i += VL) {
        int64_t lanes = n - i;
        vr wi = optim_load(w + i, lanes), gi = optim_effective(&c.gradient, optim_load(g + i, lanes), wi);
        vr mi = v_fma(c.beta1, optim_load(m + i, lanes), c.rest1 * gi);
        vr vi_new = v_fma(c.beta2, optim_load(v + i, lanes), c.rest2 * gi * gi);
        optim_store(m + i, mi, lanes);
        optim_store(v + i, vi_new, lanes);
        vr r = lamb_direction(&c, decay, wi, mi, vi_new);
        if (lanes < VL) { /* lanes beyond the end are 0 / eps, NaN for eps = 0 */
            real kept[VL];
            v_store(kept, r);
            r = v_load_n(kept, lanes);
        }
        ww = v_fma(wi, wi, ww);
        rr = v_fma(r, r, rr);
    }
    piece->sums[0] = (double)v_sum(ww);
    piece->sums[1] = (double)v_sum(rr);
}

static void KERNEL(optim_lamb)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const fnn_betas *o = argument;
    const betas_constants c = betas_constants_of(o, span);
    const vr decay = v_splat((real)(o->penalty.decoupled ? o->penalty.weight_decay : 0));
    real *w = (real *)span->w + first;
    const real *m = optim_state(span, 0, first), *v = optim_state(span, 1, first);
    for (int64_t i = 0; i < n; i += VL) {
        int64_t lanes = n - i;
        vr wi = optim_load(w + i, lanes);
        vr r = lamb_direction(&c, decay, wi, optim_load(m + i, lanes), optim_load(v + i, lanes));
        optim_store(w + i, wi - c.factor[2] * r, lanes);
    }
}
