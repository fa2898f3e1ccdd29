/* epilogue.inc.h - what follows the sums of a convolution: y = activation(sum + bias + residual).
 *
 * Whoever stores the sums adds the bias, and finishes what it has stored while that is in the cache; kernels that see
 * every sum once (Winograd's output transform) add the residual and apply a ReLU themselves. */
#include "../lists.h"

typedef void activation_kernel(int64_t n, const real *x, real *y, double a, double b, double c);

typedef struct {
    const real *bias, *residual;
    bool relu;
    activation_kernel *activation; /* any but ReLU; or NULL */
    double a, b, c;
    moments_plan moments; /* for whoever finds them in passing */
} epilogue;

static activation_kernel *epilogue_activation(int code)
{
    switch (code) {
#define FNN_ACTIVATION(name, saves, cost) \
    case FNN_ACTIVATION_##name:           \
        return K->name##_fwd;
#include "../activations.def"
#undef FNN_ACTIVATION
    default:
        return NULL;
    }
}

static epilogue epilogue_of(const fnn_epilogue *e)
{
    bool relu = e->activation == FNN_ACTIVATION_relu;
    epilogue typed = {.bias = e->bias, .residual = e->residual, .relu = relu, .a = e->a, .b = e->b, .c = e->c};
    typed.activation = relu ? NULL : epilogue_activation(e->activation);
    return typed;
}

/* The activation, unless it is a ReLU, of `rows` rows of `cols` that lie `step` apart. */
static void epilogue_activate(const epilogue *e, int64_t rows, int64_t cols, int64_t step, real *y)
{
    if (!e->activation)
        return;
    if (cols == step) {
        cols *= rows;
        rows = 1;
    }
    for (int64_t i = 0; i < rows; i++, y += step)
        e->activation(cols, y, y, e->a, e->b, e->c);
}

/* Whether epilogue_finish does anything. */
static bool epilogue_rereads(const epilogue *e) { return e->residual || e->relu || e->activation; }

/* All but the bias, of rows that begin `at` elements after the output's start, where `y` is. */
static void epilogue_finish(const epilogue *e, int64_t at, int64_t rows, int64_t cols, int64_t step, real *y)
{
    if (cols == step) {
        cols *= rows;
        rows = 1;
    }
    if (e->residual || e->relu)
        K->epilogue(rows, cols, step, e->residual ? e->residual + at : NULL, e->relu, y + at);
    epilogue_activate(e, rows, cols, step, y + at);
}
