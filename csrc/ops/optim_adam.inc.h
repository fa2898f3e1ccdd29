/* optim_adam.inc.h - drivers of Adam and what descends from it: the factors of a step, then one pass. */

/* The factors of each span as a function of its step count; spans of one count share them. */
typedef void optim_factors(const void *options, fnn_span *span, int64_t t);

static void optim_count(fnn_span *spans, int64_t count, const void *options, optim_factors *factors)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t t = ++*spans[i].step;
        if (i > 0 && t == *spans[i - 1].step)
            memcpy(spans[i].factor, spans[i - 1].factor, sizeof spans[i].factor);
        else
            factors(options, spans + i, t);
    }
}

static void adam_factors(const void *options, fnn_span *span, int64_t t)
{
    const fnn_adam *o = options;
    span->factor[0] = o->lr / (1 - pow(o->beta1, (double)t));
    span->factor[1] = 1 / sqrt(1 - pow(o->beta2, (double)t));
}

int DRIVER(optim_adam)(fnn_span *spans, int64_t count, const fnn_adam *options)
{
    optim_count(spans, count, options, adam_factors);
    optim_step(spans, count, K->optim_adam, options, 7 + 2 * options->amsgrad);
    return FNN_OK;
}

static double nadam_momentum(const fnn_betas *o, int64_t t)
{
    return o->beta1 * (1 - 0.5 * pow(0.96, (double)t * o->momentum_decay));
}

/* The product of the momenta up to step t. One factor more than at the last step, if that was the step before. */
static double nadam_product(const fnn_betas *o, fnn_span *span, int64_t t)
{
    const double of[2] = {o->beta1, o->momentum_decay};
    if (span->product_steps > t || span->product_of[0] != of[0] || span->product_of[1] != of[1])
        span->product_steps = 0;
    if (span->product_steps == 0)
        span->product = 1;
    while (span->product_steps < t)
        span->product *= nadam_momentum(o, ++span->product_steps);
    memcpy(span->product_of, of, sizeof of);
    return span->product;
}

static void nadam_factors(const void *options, fnn_span *span, int64_t t)
{
    const fnn_betas *o = options;
    double now = nadam_momentum(o, t), next = nadam_momentum(o, t + 1), product = nadam_product(o, span, t);
    span->factor[0] = o->lr * (1 - now) / (1 - product);
    span->factor[1] = o->lr * next / (1 - product * next);
    span->factor[2] = 1 / sqrt(1 - pow(o->beta2, (double)t));
}

int DRIVER(optim_nadam)(fnn_span *spans, int64_t count, const fnn_betas *options)
{
    optim_count(spans, count, options, nadam_factors);
    optim_step(spans, count, K->optim_nadam, options, 7);
    return FNN_OK;
}

static void radam_factors(const void *options, fnn_span *span, int64_t t)
{
    const fnn_betas *o = options;
    double power = pow(o->beta2, (double)t), longest = 2 / (1 - o->beta2) - 1;
    double length = longest - 2 * (double)t * power / (1 - power), rate = o->lr / (1 - pow(o->beta1, (double)t));
    span->factor[0] = 0;
    span->factor[1] = rate;
    if (length > 5) {
        double above = (length - 4) * (length - 2) * longest, below = (longest - 4) * (longest - 2) * length;
        span->factor[0] = rate * sqrt(above / below) * sqrt(1 - power);
    }
}

int DRIVER(optim_radam)(fnn_span *spans, int64_t count, const fnn_betas *options)
{
    optim_count(spans, count, options, radam_factors);
    optim_step(spans, count, K->optim_radam, options, 7);
    return FNN_OK;
}

static void adamax_factors(const void *options, fnn_span *span, int64_t t)
{
    const fnn_betas *o = options;
    span->factor[0] = o->lr / (1 - pow(o->beta1, (double)t));
}

int DRIVER(optim_adamax)(fnn_span *spans, int64_t count, const fnn_betas *options)
{
    optim_count(spans, count, options, adamax_factors);
    optim_step(spans, count, K->optim_adamax, options, 7);
    return FNN_OK;
}

int DRIVER(optim_lion)(fnn_span *spans, int64_t count, const fnn_betas *options)
{
    for (int64_t i = 0; i < count; i++)
        ++*spans[i].step;
    optim_step(spans, count, K->optim_lion, options, 5);
    return FNN_OK;
}

static void lamb_factors(const void *options, fnn_span *span, int64_t t)
{
    const fnn_betas *o = options;
    span->factor[0] = 1 / (1 - pow(o->beta1, (double)t));
    span->factor[1] = 1 / sqrt(1 - pow(o->beta2, (double)t));
}

int DRIVER(optim_lamb)(fnn_span *spans, int64_t count, const fnn_betas *options)
{
    optim_count(spans, count, options, lamb_factors);
    fnn_span_piece *pieces = optim_reduce(spans, count, K->optim_lamb_moments, options, 6);
    if (!pieces) {
        for (int64_t i = 0; i < count; i++)
            --*spans[i].step;
        return FNN_NO_MEMORY;
    }
    for (int64_t i = 0; i < count; i++) {
        double norms[2];
        optim_norms(spans, i, pieces, norms);
        bool adapted = options->adapt && norms[0] > 0 && norms[1] > 0;
        spans[i].factor[2] = options->lr * (adapted ? norms[0] / norms[1] : 1);
    }
    fnn_free(pieces);
    optim_step(spans, count, K->optim_lamb, options, 4);
    return FNN_OK;
}
