/* optim.inc.h - one step of the optimisers on elements [first, first + n) of one parameter.
 *
 *   w, g, state[0..2] (span->n)
 *
 * Every element of every array is read once and written once; LARS and LAMB, which need norms of whole parameters
 * first, read the weights twice. The kernels are templates over one vector of `lanes` elements: the loop calls them
 * with whole vectors, then once with what is left. */

ALWAYS_INLINE vr optim_load(const real *p, int64_t lanes) { return lanes >= VL ? v_load(p) : v_load_n(p, lanes); }

ALWAYS_INLINE void optim_store(real *p, vr a, int64_t lanes)
{
    if (lanes >= VL)
        v_store(p, a);
    else
        v_store_n(p, a, lanes);
}

/* State k of a span from element `first` on, NULL if it has none. */
ALWAYS_INLINE real *optim_state(const fnn_span *span, int k, int64_t first)
{
    return span->state[k] ? (real *)span->state[k] + first : NULL;
}

/* The penalty as vectors. */
typedef struct {
    vr sign, decay, l1, shrink;
    bool decays, selects; /* tests and not products with zero, which would spread infinite weights */
} optim_gradient;

ALWAYS_INLINE optim_gradient optim_gradient_of(const fnn_penalty *p, double lr)
{
    optim_gradient o = {v_splat(p->maximize ? -1 : 1),
                        v_splat((real)p->weight_decay),
                        v_splat((real)p->l1),
                        v_splat((real)(p->decoupled ? 1 - lr * p->weight_decay : 1)),
                        p->weight_decay != 0 && !p->decoupled,
                        p->l1 != 0};
    return o;
}

/* The gradient with its penalties. */
ALWAYS_INLINE vr optim_effective(const optim_gradient *o, vr g, vr w)
{
    g *= o->sign;
    if (o->selects)
        g += v_and(w > v_zero(), o->l1) - v_and(w < v_zero(), o->l1);
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
    optim_store(w, c->gradient.shrink * wi - c->lr * step, lanes);
}

static void KERNEL(optim_sgd)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const fnn_sgd *o = argument;
    real *w = (real *)span->w + first, *v = optim_state(span, 0, first);
    const real *g = (const real *)span->g + first;
    const sgd_constants c = {optim_gradient_of(&o->penalty, o->lr), v_splat((real)o->lr), v_splat((real)o->momentum),
                             v_splat((real)span->factor[0]), o->nesterov};
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

/* ---- Nesterov in the look-ahead form, at w + momentum v:  v = momentum v - lr g;  w -= lr g ---- */

typedef struct {
    optim_gradient gradient;
    vr lr, momentum;
} nesterov_constants;

ALWAYS_INLINE void nesterov_vector(const nesterov_constants *c, int64_t lanes, real *w, const real *g, real *v)
{
    vr wi = optim_load(w, lanes), step = c->lr * optim_effective(&c->gradient, optim_load(g, lanes), wi);
    optim_store(v, v_fma(c->momentum, optim_load(v, lanes), -step), lanes);
    optim_store(w, c->gradient.shrink * wi - step, lanes);
}

static void KERNEL(optim_nesterov)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const fnn_nesterov *o = argument;
    real *w = (real *)span->w + first, *v = optim_state(span, 0, first);
    const real *g = (const real *)span->g + first;
    const nesterov_constants c = {optim_gradient_of(&o->penalty, o->lr), v_splat((real)o->lr),
                                  v_splat((real)o->momentum)};
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        nesterov_vector(&c, VL, w + i, g + i, v + i);
    if (i < n)
        nesterov_vector(&c, n - i, w + i, g + i, v + i);
}

/* ---- LARS:  v = momentum v + trust g;  w -= lr v, with Nesterov  w -= lr (trust g + momentum v);
 *             trust = factor[0], made of the norms of w and of g before weight decay ---- */

static void KERNEL(optim_lars_norms)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    fnn_span_piece *piece = argument;
    const real *w = (const real *)span->w + first, *g = (const real *)span->g + first;
    vr ww = v_zero(), gg = v_zero();
    for (int64_t i = 0; i < n; i += VL) {
        vr wi = optim_load(w + i, n - i), gi = optim_load(g + i, n - i);
        ww = v_fma(wi, wi, ww);
        gg = v_fma(gi, gi, gg);
    }
    piece->sums[0] = (double)v_sum(ww);
    piece->sums[1] = (double)v_sum(gg);
}

typedef struct {
    optim_gradient gradient;
    vr lr, momentum, trust;
    bool nesterov;
} lars_constants;

ALWAYS_INLINE void lars_vector(const lars_constants *c, int64_t lanes, real *w, const real *g, real *v)
{
    vr wi = optim_load(w, lanes);
    vr step = c->trust * optim_effective(&c->gradient, optim_load(g, lanes), wi);
    vr vi_new = v_fma(c->momentum, optim_load(v, lanes), step);
    optim_store(v, vi_new, lanes);
    step = c->nesterov ? v_fma(c->momentum, vi_new, step) : vi_new;
    optim_store(w, c->gradient.shrink * wi - c->lr * step, lanes);
}

static void KERNEL(optim_lars)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const fnn_lars *o = argument;
    real *w = (real *)span->w + first, *v = optim_state(span, 0, first);
    const real *g = (const real *)span->g + first;
    const lars_constants c = {optim_gradient_of(&o->penalty, o->lr), v_splat((real)o->lr), v_splat((real)o->momentum),
                              v_splat((real)span->factor[0]), o->nesterov};
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        lars_vector(&c, VL, w + i, g + i, v + i);
    if (i < n)
        lars_vector(&c, n - i, w + i, g + i, v + i);
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
    optim_store(w, c->gradient.shrink * wi - c->rate * gi / (v_sqrt(si) + c->eps), lanes);
}

static void KERNEL(optim_adagrad)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const fnn_adagrad *o = argument;
    real *w = (real *)span->w + first, *s = (real *)span->state[0] + first;
    const real *g = (const real *)span->g + first;
    const adagrad_constants c = {optim_gradient_of(&o->penalty, o->lr), v_splat((real)span->factor[0]),
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
    optim_store(w, c->gradient.shrink * wi - c->lr * d, lanes);
}

static void KERNEL(optim_adadelta)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const fnn_adadelta *o = argument;
    real *w = (real *)span->w + first, *s = (real *)span->state[0] + first, *h = (real *)span->state[1] + first;
    const real *g = (const real *)span->g + first;
    const adadelta_constants c = {optim_gradient_of(&o->penalty, o->lr), v_splat((real)o->lr), v_splat((real)o->rho),
                                  v_splat((real)(1 - o->rho)), v_splat((real)o->eps)};
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
    optim_store(w, c->gradient.shrink * wi - c->lr * step, lanes);
}

static void KERNEL(optim_rmsprop)(const fnn_span *span, int64_t first, int64_t n, void *argument)
{
    const fnn_rmsprop *o = argument;
    real *w = (real *)span->w + first, *s = (real *)span->state[0] + first;
    real *v = optim_state(span, 1, first);
    real *m = optim_state(span, 2, first);
    const real *g = (const real *)span->g + first;
    const rmsprop_constants c = {
        optim_gradient_of(&o->penalty, o->lr), v_splat((real)o->lr),  v_splat((real)o->alpha),
        v_splat((real)(1 - o->alpha)),         v_splat((real)o->eps), v_splat((real)o->momentum)};
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        rmsprop_vector(&c, VL, w + i, g + i, s + i, v ? v + i : NULL, m ? m + i : NULL);
    if (i < n)
        rmsprop_vector(&c, n - i, w + i, g + i, s + i, v ? v + i : NULL, m ? m + i : NULL);
}
