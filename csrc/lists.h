/* lists.h - the operations that exist as lists: an enum and the names of each, for drivers and binding. */
#ifndef FNN_LISTS_H
#define FNN_LISTS_H

#include <stdbool.h>

enum fnn_activation {
#define FNN_ACTIVATION(name, saves, work) FNN_ACTIVATION_##name,
#include "activations.def"
#undef FNN_ACTIVATION
    FNN_ACTIVATIONS
};

enum fnn_pointwise_loss {
#define FNN_LOSS(name, work) FNN_LOSS_##name,
#include "losses.def"
#undef FNN_LOSS
    FNN_LOSSES
};

enum fnn_binary {
#define FNN_BINARY(name) FNN_BINARY_##name,
#include "binaries.def"
#undef FNN_BINARY
    FNN_BINARIES
};

static inline const char *fnn_activation_name(int code)
{
    static const char *const names[] = {
#define FNN_ACTIVATION(name, saves, work) #name,
#include "activations.def"
#undef FNN_ACTIVATION
    };
    return names[code];
}

static inline bool fnn_activation_saves_output(int code)
{
    enum { INPUT, OUTPUT };
    static const bool saves_output[] = {
#define FNN_ACTIVATION(name, saves, work) saves == OUTPUT,
#include "activations.def"
#undef FNN_ACTIVATION
    };
    return saves_output[code];
}

static inline const char *fnn_pointwise_loss_name(int code)
{
    static const char *const names[] = {
#define FNN_LOSS(name, work) #name,
#include "losses.def"
#undef FNN_LOSS
    };
    return names[code];
}

static inline const char *fnn_binary_name(int code)
{
    static const char *const names[] = {
#define FNN_BINARY(name) #name,
#include "binaries.def"
#undef FNN_BINARY
    };
    return names[code];
}

#endif
