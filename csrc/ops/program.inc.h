/* program.inc.h - runs a program: one call of an entry point after the other. */

static inline void *program_at(void *const *slots, fnn_place place)
{
    return place.slot == FNN_NOWHERE ? NULL : (char *)slots[place.slot] + place.offset;
}

static int program_conv(const fnn_conv_step *s, const real *x, real *y, void *const *slots)
{
    fnn_epilogue e = {.bias = program_at(slots, s->bias), .residual = program_at(slots, s->residual)};
    e.activation = s->activation;
    e.a = s->a;
    e.b = s->b;
    e.c = s->c;
    bool measured;
    return DRIVER(conv_fwd)(&s->shape, s->algorithm, x, program_at(slots, s->w), program_at(slots, s->prepared), &e, y,
                            NULL, &measured);
}

static int program_norm(const fnn_norm_step *s, const real *x, real *y, void *const *slots)
{
    return DRIVER(norm_batch_apply)(s->rows, s->channels, x, program_at(slots, s->residual), program_at(slots, s->w),
                                    program_at(slots, s->b), s->relu, program_at(slots, s->mean),
                                    program_at(slots, s->rstd), y);
}

/* ---- copies: a task for every index of the first two axes ---- */

typedef struct {
    const fnn_copy_step *s;
    const real *x;
    real *y;
} program_copy_call;

static void program_copy_task(void *context, int64_t index, int thread)
{
    const program_copy_call *call = context;
    const fnn_copy_step *s = call->s;
    const int64_t *size = s->size, *from = s->x_step, *to = s->y_step;
    const real *x = call->x + index / size[1] * from[0] + index % size[1] * from[1];
    real *y = call->y + index / size[1] * to[0] + index % size[1] * to[1];
    (void)thread;
    for (int64_t i = 0; i < size[2]; i++)
        for (int64_t j = 0; j < size[3]; j++)
            for (int64_t k = 0; k < size[4]; k++) {
                const real *xk = x + i * from[2] + j * from[3] + k * from[4];
                real *yk = y + i * to[2] + j * to[3] + k * to[4];
                if (from[5] == 1 && to[5] == 1)
                    memcpy(yk, xk, sizeof(real) * (size_t)size[5]);
                else
                    for (int64_t l = 0; l < size[5]; l++)
                        yk[l * to[5]] = xk[l * from[5]];
            }
}

static int program_copy(const fnn_copy_step *s, const real *x, real *y)
{
    program_copy_call call = {s, x, y};
    int64_t tasks = s->size[0] * s->size[1], each = s->size[2] * s->size[3] * s->size[4] * s->size[5];
    bool runs = s->x_step[5] == 1 && s->y_step[5] == 1;
    double bytes = 2.0 * sizeof(real) * (double)(tasks * each);
    fnn_parallel(tasks, fnn_parallel_width(tasks, bytes * FNN_NS_PER_BYTE * (runs ? 1 : 4)), program_copy_task, &call);
    return FNN_OK;
}

static int program_fill(const fnn_fill_step *s, real *y)
{
    for (int64_t i = 0; i < s->n; i++)
        y[i] = (real)s->value;
    return FNN_OK;
}

static int program_step(const fnn_step *step, void *const *slots)
{
    const real *x = program_at(slots, step->x);
    real *y = program_at(slots, step->y);
    const fnn_step_detail *as = &step->as;
    switch (step->kind) {
    case FNN_STEP_CONV:
        return program_conv(&as->conv, x, y, slots);
    case FNN_STEP_MAX_POOL:
        return DRIVER(pool_max_fwd)(&as->pool, x, y);
    case FNN_STEP_AVG_POOL:
        return DRIVER(pool_avg_fwd)(&as->pool, x, y);
    case FNN_STEP_NORM:
        return program_norm(&as->norm, x, y, slots);
    case FNN_STEP_ACTIVATION:
        return DRIVER(activation_fwd)(as->activation.code, as->activation.n, x, y, as->activation.a, as->activation.b,
                                      as->activation.c);
    case FNN_STEP_BINARY:
        return DRIVER(binary_arrays)(as->binary.code, as->binary.n, x, program_at(slots, as->binary.other), y);
    case FNN_STEP_SOFTMAX:
        return DRIVER(softmax_fwd)(as->softmax.log, as->softmax.outer, as->softmax.classes, as->softmax.inner, x, y);
    case FNN_STEP_COPY:
        return program_copy(&as->copy, x, y);
    default:
        return program_fill(&as->fill, y);
    }
}

int DRIVER(program_run)(const fnn_program *program, void *const *slots)
{
    for (int64_t i = 0; i < program->count; i++) {
        int status = program_step(&program->steps[i], slots);
        if (status != FNN_OK)
            return status;
    }
    return FNN_OK;
}
