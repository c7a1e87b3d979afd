/*
 * test_rate.c - the learning-rate formulas against numbers of the real Paddle.
 *
 * Every golden row was computed by Paddle 1.8.5 under Python 3.7: the decay built by the expression in its row and
 * called eight times under fluid.dygraph.guard(), `rate.numpy()[0]` of each result as float.hex(). Its fields are those
 * of the object's __dict__ before the first call. What depends on the C library's exp, pow and cos may differ by two
 * units in the last place of the decay's dtype on another machine; all else is exact.
 */
#include "schema/rate.h"

#include "model/value.h"
#include "test.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NONE                                                                                                           \
    {                                                                                                                  \
        .type = H5CKPT_NONE                                                                                            \
    }
#define BOOL(x)                                                                                                        \
    {                                                                                                                  \
        .type = H5CKPT_BOOL, .as.i = (x)                                                                               \
    }
#define INT(x)                                                                                                         \
    {                                                                                                                  \
        .type = H5CKPT_INT, .as.i = (x)                                                                                \
    }
#define FLOAT(x)                                                                                                       \
    {                                                                                                                  \
        .type = H5CKPT_FLOAT, .as.f = (x)                                                                              \
    }
#define STR(x)                                                                                                         \
    {                                                                                                                  \
        .type = H5CKPT_STR, .count = sizeof(x) - 1, .as.str = (x)                                                      \
    }
#define KEY(x) STR(x)
#define LIST(x)                                                                                                        \
    {                                                                                                                  \
        .type = H5CKPT_LIST, .count = sizeof(x) / sizeof *(x), .as.items = (x)                                         \
    }
#define TUPLE(x)                                                                                                       \
    {                                                                                                                  \
        .type = H5CKPT_TUPLE, .count = sizeof(x) / sizeof *(x), .as.items = (x)                                        \
    }
#define EMPTY_LIST                                                                                                     \
    {                                                                                                                  \
        .type = H5CKPT_LIST                                                                                            \
    }
#define ARRAY(x)                                                                                                       \
    {                                                                                                                  \
        .type = H5CKPT_ARRAY, .as.array = &(x)                                                                         \
    }
#define OBJECT(x)                                                                                                      \
    {                                                                                                                  \
        .type = H5CKPT_OBJECT, .as.object = &(x)                                                                       \
    }
#define MODULE "paddle.fluid.dygraph.learning_rate_scheduler"

enum { RATES = 8 };

typedef struct golden {
    const char *expression;
    const h5ckpt_object *object;
    int ulps; /* that the C library may cost */
    double rates[RATES];
} golden;

/* ---- What Paddle computed ---- */

/* PiecewiseDecay([2, 4], [0.3, 0.2, 0.1], 0) */
static const h5ckpt_value list_1[] = {INT(2), INT(4)};
static const h5ckpt_value list_2[] = {FLOAT(0.3), FLOAT(0.2), FLOAT(0.1)};
static const h5ckpt_value list_3[] = {FLOAT(0.3), FLOAT(0.2), FLOAT(0.1)};
static const h5ckpt_field piecewise_fields[] = {{KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
                                                {KEY("dtype"), STR("float32")}, {KEY("boundaries"), LIST(list_1)},
                                                {KEY("values"), LIST(list_2)},  {KEY("vars"), LIST(list_3)}};
static const h5ckpt_object piecewise = {MODULE, "PiecewiseDecay", 6, piecewise_fields};

/* PiecewiseDecay([4, 2, 6], [0.3, 0.2, 0.1, 0.05], 0) */
static const h5ckpt_value list_5[] = {INT(4), INT(2), INT(6)};
static const h5ckpt_value list_6[] = {FLOAT(0.3), FLOAT(0.2), FLOAT(0.1), FLOAT(0.05)};
static const h5ckpt_value list_7[] = {FLOAT(0.3), FLOAT(0.2), FLOAT(0.1), FLOAT(0.05)};
static const h5ckpt_field piecewise_unsorted_fields[] = {
    {KEY("step_num"), INT(0)},         {KEY("step_size"), INT(1)},    {KEY("dtype"), STR("float32")},
    {KEY("boundaries"), LIST(list_5)}, {KEY("values"), LIST(list_6)}, {KEY("vars"), LIST(list_7)}};
static const h5ckpt_object piecewise_unsorted = {MODULE, "PiecewiseDecay", 6, piecewise_unsorted_fields};

/* PiecewiseDecay([2, 4], [3, 2, 1], 0) */
static const h5ckpt_value list_9[] = {INT(2), INT(4)};
static const h5ckpt_value list_10[] = {INT(3), INT(2), INT(1)};
static const h5ckpt_value list_11[] = {INT(3), INT(2), INT(1)};
static const h5ckpt_field piecewise_ints_fields[] = {{KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
                                                     {KEY("dtype"), STR("float32")}, {KEY("boundaries"), LIST(list_9)},
                                                     {KEY("values"), LIST(list_10)}, {KEY("vars"), LIST(list_11)}};
static const h5ckpt_object piecewise_ints = {MODULE, "PiecewiseDecay", 6, piecewise_ints_fields};

/* PiecewiseDecay([2.5, float('nan'), 4], [0.3, 0.2, 0.1, 0.05], 0) */
static const h5ckpt_value list_13[] = {FLOAT(2.5), FLOAT(NAN), INT(4)};
static const h5ckpt_value list_14[] = {FLOAT(0.3), FLOAT(0.2), FLOAT(0.1), FLOAT(0.05)};
static const h5ckpt_value list_15[] = {FLOAT(0.3), FLOAT(0.2), FLOAT(0.1), FLOAT(0.05)};
static const h5ckpt_field piecewise_nan_fields[] = {{KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
                                                    {KEY("dtype"), STR("float32")}, {KEY("boundaries"), LIST(list_13)},
                                                    {KEY("values"), LIST(list_14)}, {KEY("vars"), LIST(list_15)}};
static const h5ckpt_object piecewise_nan = {MODULE, "PiecewiseDecay", 6, piecewise_nan_fields};

/* PiecewiseDecay((2, 4), (0.3, 0.2, 0.1), 5, -1) */
static const h5ckpt_value list_17[] = {INT(2), INT(4)};
static const h5ckpt_value list_18[] = {FLOAT(0.3), FLOAT(0.2), FLOAT(0.1)};
static const h5ckpt_value list_19[] = {FLOAT(0.3), FLOAT(0.2), FLOAT(0.1)};
static const h5ckpt_field piecewise_backwards_fields[] = {
    {KEY("step_num"), INT(5)},           {KEY("step_size"), INT(-1)},     {KEY("dtype"), STR("float32")},
    {KEY("boundaries"), TUPLE(list_17)}, {KEY("values"), TUPLE(list_18)}, {KEY("vars"), LIST(list_19)}};
static const h5ckpt_object piecewise_backwards = {MODULE, "PiecewiseDecay", 6, piecewise_backwards_fields};

/* PiecewiseDecay(np.array([2, 4]), np.array([0.3, 0.2, 0.1]), 0) */
static const uint64_t np_21_shape[] = {2};
static const h5ckpt_array np_21 = {.dtype = H5CKPT_DTYPE_INT64,
                                   .rank = 1,
                                   .shape = np_21_shape,
                                   .nbytes = 16,
                                   .data = "\002\000\000\000\000\000\000\000\004\000\000\000\000\000\000\000"};
static const uint64_t np_22_shape[] = {3};
static const h5ckpt_array np_22 = {
    .dtype = H5CKPT_DTYPE_FLOAT64,
    .rank = 1,
    .shape = np_22_shape,
    .nbytes = 24,
    .data = "\063\063\063\063\063\063\323\077\232\231\231\231\231\231\311\077\232\231\231\231\231\231\271\077"};
static const h5ckpt_array np_23 = {
    .dtype = H5CKPT_DTYPE_FLOAT64, .scalar = 1, .nbytes = 8, .data = "\063\063\063\063\063\063\323\077"};
static const h5ckpt_array np_24 = {
    .dtype = H5CKPT_DTYPE_FLOAT64, .scalar = 1, .nbytes = 8, .data = "\232\231\231\231\231\231\311\077"};
static const h5ckpt_array np_25 = {
    .dtype = H5CKPT_DTYPE_FLOAT64, .scalar = 1, .nbytes = 8, .data = "\232\231\231\231\231\231\271\077"};
static const h5ckpt_value list_26[] = {ARRAY(np_23), ARRAY(np_24), ARRAY(np_25)};
static const h5ckpt_field piecewise_numpy_fields[] = {{KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
                                                      {KEY("dtype"), STR("float32")}, {KEY("boundaries"), ARRAY(np_21)},
                                                      {KEY("values"), ARRAY(np_22)},  {KEY("vars"), LIST(list_26)}};
static const h5ckpt_object piecewise_numpy = {MODULE, "PiecewiseDecay", 6, piecewise_numpy_fields};

/* PiecewiseDecay([2, 4], [0.3, 0.2, 0.1], 0, dtype='float64') */
static const h5ckpt_value list_28[] = {INT(2), INT(4)};
static const h5ckpt_value list_29[] = {FLOAT(0.3), FLOAT(0.2), FLOAT(0.1)};
static const h5ckpt_value list_30[] = {FLOAT(0.3), FLOAT(0.2), FLOAT(0.1)};
static const h5ckpt_field piecewise_float64_fields[] = {
    {KEY("step_num"), INT(0)},          {KEY("step_size"), INT(1)},     {KEY("dtype"), STR("float64")},
    {KEY("boundaries"), LIST(list_28)}, {KEY("values"), LIST(list_29)}, {KEY("vars"), LIST(list_30)}};
static const h5ckpt_object piecewise_float64 = {MODULE, "PiecewiseDecay", 6, piecewise_float64_fields};

/* PiecewiseDecay([], [0.7], 0) */
static const h5ckpt_value list_32[] = {FLOAT(0.7)};
static const h5ckpt_value list_33[] = {FLOAT(0.7)};
static const h5ckpt_field piecewise_empty_fields[] = {{KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
                                                      {KEY("dtype"), STR("float32")}, {KEY("boundaries"), EMPTY_LIST},
                                                      {KEY("values"), LIST(list_32)}, {KEY("vars"), LIST(list_33)}};
static const h5ckpt_object piecewise_empty = {MODULE, "PiecewiseDecay", 6, piecewise_empty_fields};

/* NaturalExpDecay(0.1, 1000, 0.5, begin=37) */
static const h5ckpt_field natural_exp_fields[] = {{KEY("step_num"), INT(37)},      {KEY("step_size"), INT(1)},
                                                  {KEY("dtype"), STR("float32")},  {KEY("learning_rate"), FLOAT(0.1)},
                                                  {KEY("decay_steps"), INT(1000)}, {KEY("decay_rate"), FLOAT(0.5)},
                                                  {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object natural_exp = {MODULE, "NaturalExpDecay", 7, natural_exp_fields};

/* NaturalExpDecay(0.1, 7, 0.5, True, 3, 2) */
static const h5ckpt_field natural_exp_staircase_fields[] = {
    {KEY("step_num"), INT(3)},          {KEY("step_size"), INT(2)},   {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(7)}, {KEY("decay_rate"), FLOAT(0.5)},
    {KEY("staircase"), BOOL(1)}};
static const h5ckpt_object natural_exp_staircase = {MODULE, "NaturalExpDecay", 7, natural_exp_staircase_fields};

/* NaturalExpDecay(1, 10, 2) */
static const h5ckpt_field natural_exp_ints_fields[] = {{KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
                                                       {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), INT(1)},
                                                       {KEY("decay_steps"), INT(10)},  {KEY("decay_rate"), INT(2)},
                                                       {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object natural_exp_ints = {MODULE, "NaturalExpDecay", 7, natural_exp_ints_fields};

/* NaturalExpDecay(0.1, 1000, 0.5, dtype='float64') */
static const h5ckpt_field natural_exp_float64_fields[] = {
    {KEY("step_num"), INT(0)},          {KEY("step_size"), INT(1)},      {KEY("dtype"), STR("float64")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(1000)}, {KEY("decay_rate"), FLOAT(0.5)},
    {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object natural_exp_float64 = {MODULE, "NaturalExpDecay", 7, natural_exp_float64_fields};

/* NaturalExpDecay(0.1, 1000, 0.5, begin=10**17) */
static const h5ckpt_field natural_exp_huge_fields[] = {{KEY("step_num"), INT(100000000000000000)},
                                                       {KEY("step_size"), INT(1)},
                                                       {KEY("dtype"), STR("float32")},
                                                       {KEY("learning_rate"), FLOAT(0.1)},
                                                       {KEY("decay_steps"), INT(1000)},
                                                       {KEY("decay_rate"), FLOAT(0.5)},
                                                       {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object natural_exp_huge = {MODULE, "NaturalExpDecay", 7, natural_exp_huge_fields};

/* NaturalExpDecay(0.1, 1000, 0.5, begin=-10**17) */
static const h5ckpt_field natural_exp_minus_huge_fields[] = {{KEY("step_num"), INT(-100000000000000000)},
                                                             {KEY("step_size"), INT(1)},
                                                             {KEY("dtype"), STR("float32")},
                                                             {KEY("learning_rate"), FLOAT(0.1)},
                                                             {KEY("decay_steps"), INT(1000)},
                                                             {KEY("decay_rate"), FLOAT(0.5)},
                                                             {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object natural_exp_minus_huge = {MODULE, "NaturalExpDecay", 7, natural_exp_minus_huge_fields};

/* NaturalExpDecay(0.1, np.int64(1000), 0.5, begin=12) */
static const h5ckpt_array np_41 = {
    .dtype = H5CKPT_DTYPE_INT64, .scalar = 1, .nbytes = 8, .data = "\350\003\000\000\000\000\000\000"};
static const h5ckpt_field natural_exp_numpy_fields[] = {
    {KEY("step_num"), INT(12)},         {KEY("step_size"), INT(1)},         {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), ARRAY(np_41)}, {KEY("decay_rate"), FLOAT(0.5)},
    {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object natural_exp_numpy = {MODULE, "NaturalExpDecay", 7, natural_exp_numpy_fields};

/* NaturalExpDecay(True, 1000, True, 1, begin=True) */
static const h5ckpt_field natural_exp_bools_fields[] = {
    {KEY("step_num"), BOOL(1)},      {KEY("step_size"), INT(1)},      {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), BOOL(1)}, {KEY("decay_steps"), INT(1000)}, {KEY("decay_rate"), BOOL(1)},
    {KEY("staircase"), INT(1)}};
static const h5ckpt_object natural_exp_bools = {MODULE, "NaturalExpDecay", 7, natural_exp_bools_fields};

/* NaturalExpDecay(0.1, 1000, 0.5, None, begin=12) */
static const h5ckpt_field natural_exp_none_fields[] = {
    {KEY("step_num"), INT(12)},      {KEY("step_size"), INT(1)},
    {KEY("dtype"), STR("float32")},  {KEY("learning_rate"), FLOAT(0.1)},
    {KEY("decay_steps"), INT(1000)}, {KEY("decay_rate"), FLOAT(0.5)},
    {KEY("staircase"), NONE}};
static const h5ckpt_object natural_exp_none = {MODULE, "NaturalExpDecay", 7, natural_exp_none_fields};

/* NaturalExpDecay(0.1, 1000, 0.5, begin=0.5, step=0.25) */
static const h5ckpt_field natural_exp_half_steps_fields[] = {
    {KEY("step_num"), FLOAT(0.5)},      {KEY("step_size"), FLOAT(0.25)}, {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(1000)}, {KEY("decay_rate"), FLOAT(0.5)},
    {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object natural_exp_half_steps = {MODULE, "NaturalExpDecay", 7, natural_exp_half_steps_fields};

/* ExponentialDecay(0.1, 1000, 0.9, begin=37) */
static const h5ckpt_field exponential_fields[] = {{KEY("step_num"), INT(37)},      {KEY("step_size"), INT(1)},
                                                  {KEY("dtype"), STR("float32")},  {KEY("learning_rate"), FLOAT(0.1)},
                                                  {KEY("decay_steps"), INT(1000)}, {KEY("decay_rate"), FLOAT(0.9)},
                                                  {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object exponential = {MODULE, "ExponentialDecay", 7, exponential_fields};

/* ExponentialDecay(2, 3, 2) */
static const h5ckpt_field exponential_ints_fields[] = {{KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
                                                       {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), INT(2)},
                                                       {KEY("decay_steps"), INT(3)},   {KEY("decay_rate"), INT(2)},
                                                       {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object exponential_ints = {MODULE, "ExponentialDecay", 7, exponential_ints_fields};

/* ExponentialDecay(0.1, 3, -2.0) */
static const h5ckpt_field exponential_negative_fields[] = {
    {KEY("step_num"), INT(0)},          {KEY("step_size"), INT(1)},   {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(3)}, {KEY("decay_rate"), FLOAT(-2.0)},
    {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object exponential_negative = {MODULE, "ExponentialDecay", 7, exponential_negative_fields};

/* ExponentialDecay(0.1, 3, 0, begin=-3) */
static const h5ckpt_field exponential_zero_fields[] = {
    {KEY("step_num"), INT(-3)},         {KEY("step_size"), INT(1)},   {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(3)}, {KEY("decay_rate"), INT(0)},
    {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object exponential_zero = {MODULE, "ExponentialDecay", 7, exponential_zero_fields};

/* ExponentialDecay(0.1, 7, 0.9, begin=5, dtype='float64') */
static const h5ckpt_field exponential_float64_fields[] = {
    {KEY("step_num"), INT(5)},          {KEY("step_size"), INT(1)},   {KEY("dtype"), STR("float64")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(7)}, {KEY("decay_rate"), FLOAT(0.9)},
    {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object exponential_float64 = {MODULE, "ExponentialDecay", 7, exponential_float64_fields};

/* InverseTimeDecay(0.1, 1000, 0.5, begin=37) */
static const h5ckpt_field inverse_time_fields[] = {{KEY("step_num"), INT(37)},      {KEY("step_size"), INT(1)},
                                                   {KEY("dtype"), STR("float32")},  {KEY("learning_rate"), FLOAT(0.1)},
                                                   {KEY("decay_steps"), INT(1000)}, {KEY("decay_rate"), FLOAT(0.5)},
                                                   {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object inverse_time = {MODULE, "InverseTimeDecay", 7, inverse_time_fields};

/* InverseTimeDecay(0.1, 7, 0.5, True, 3, 2) */
static const h5ckpt_field inverse_time_staircase_fields[] = {
    {KEY("step_num"), INT(3)},          {KEY("step_size"), INT(2)},   {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(7)}, {KEY("decay_rate"), FLOAT(0.5)},
    {KEY("staircase"), BOOL(1)}};
static const h5ckpt_object inverse_time_staircase = {MODULE, "InverseTimeDecay", 7, inverse_time_staircase_fields};

/* InverseTimeDecay(0.3, 7, 0.7, begin=5, dtype='float64') */
static const h5ckpt_field inverse_time_float64_fields[] = {
    {KEY("step_num"), INT(5)},          {KEY("step_size"), INT(1)},   {KEY("dtype"), STR("float64")},
    {KEY("learning_rate"), FLOAT(0.3)}, {KEY("decay_steps"), INT(7)}, {KEY("decay_rate"), FLOAT(0.7)},
    {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object inverse_time_float64 = {MODULE, "InverseTimeDecay", 7, inverse_time_float64_fields};

/* InverseTimeDecay(1, 1, -1) */
static const h5ckpt_field inverse_time_pole_fields[] = {{KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
                                                        {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), INT(1)},
                                                        {KEY("decay_steps"), INT(1)},   {KEY("decay_rate"), INT(-1)},
                                                        {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object inverse_time_pole = {MODULE, "InverseTimeDecay", 7, inverse_time_pole_fields};

/* PolynomialDecay(0.1, 100, begin=37) */
static const h5ckpt_field polynomial_fields[] = {
    {KEY("step_num"), INT(37)},         {KEY("step_size"), INT(1)},     {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(100)}, {KEY("end_learning_rate"), FLOAT(0.0001)},
    {KEY("power"), FLOAT(1.0)},         {KEY("cycle"), BOOL(0)}};
static const h5ckpt_object polynomial = {MODULE, "PolynomialDecay", 8, polynomial_fields};

/* PolynomialDecay(0.1, 7, 0.01, 2.0, True) */
static const h5ckpt_field polynomial_cycle_fields[] = {
    {KEY("step_num"), INT(0)},          {KEY("step_size"), INT(1)},   {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(7)}, {KEY("end_learning_rate"), FLOAT(0.01)},
    {KEY("power"), FLOAT(2.0)},         {KEY("cycle"), BOOL(1)}};
static const h5ckpt_object polynomial_cycle = {MODULE, "PolynomialDecay", 8, polynomial_cycle_fields};

/* PolynomialDecay(0.1, 7, 0.01, 0.5, False, begin=2) */
static const h5ckpt_field polynomial_root_fields[] = {
    {KEY("step_num"), INT(2)},          {KEY("step_size"), INT(1)},   {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(7)}, {KEY("end_learning_rate"), FLOAT(0.01)},
    {KEY("power"), FLOAT(0.5)},         {KEY("cycle"), BOOL(0)}};
static const h5ckpt_object polynomial_root = {MODULE, "PolynomialDecay", 8, polynomial_root_fields};

/* PolynomialDecay(1, 7, 0, 3, False) */
static const h5ckpt_field polynomial_ints_fields[] = {
    {KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},   {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), INT(1)}, {KEY("decay_steps"), INT(7)}, {KEY("end_learning_rate"), INT(0)},
    {KEY("power"), INT(3)},         {KEY("cycle"), BOOL(0)}};
static const h5ckpt_object polynomial_ints = {MODULE, "PolynomialDecay", 8, polynomial_ints_fields};

/* PolynomialDecay(0.1, 7, 0.01, 1.5, True, begin=6, dtype='float64') */
static const h5ckpt_field polynomial_cycle_float64_fields[] = {
    {KEY("step_num"), INT(6)},          {KEY("step_size"), INT(1)},   {KEY("dtype"), STR("float64")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(7)}, {KEY("end_learning_rate"), FLOAT(0.01)},
    {KEY("power"), FLOAT(1.5)},         {KEY("cycle"), BOOL(1)}};
static const h5ckpt_object polynomial_cycle_float64 = {MODULE, "PolynomialDecay", 8, polynomial_cycle_float64_fields};

/* PolynomialDecay(0.1, 7, 0.01, 1.5, False, begin=3, dtype='float64') */
static const h5ckpt_field polynomial_float64_fields[] = {
    {KEY("step_num"), INT(3)},          {KEY("step_size"), INT(1)},   {KEY("dtype"), STR("float64")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(7)}, {KEY("end_learning_rate"), FLOAT(0.01)},
    {KEY("power"), FLOAT(1.5)},         {KEY("cycle"), BOOL(0)}};
static const h5ckpt_object polynomial_float64 = {MODULE, "PolynomialDecay", 8, polynomial_float64_fields};

/* PolynomialDecay(0.1, 7, 0.01, 1.5, True, begin=-3) */
static const h5ckpt_field polynomial_cycle_negative_fields[] = {
    {KEY("step_num"), INT(-3)},         {KEY("step_size"), INT(1)},   {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(7)}, {KEY("end_learning_rate"), FLOAT(0.01)},
    {KEY("power"), FLOAT(1.5)},         {KEY("cycle"), BOOL(1)}};
static const h5ckpt_object polynomial_cycle_negative = {MODULE, "PolynomialDecay", 8, polynomial_cycle_negative_fields};

/* PolynomialDecay(0.1, 7, 0.01, 1.5, False, begin=-3) */
static const h5ckpt_field polynomial_negative_fields[] = {
    {KEY("step_num"), INT(-3)},         {KEY("step_size"), INT(1)},   {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("decay_steps"), INT(7)}, {KEY("end_learning_rate"), FLOAT(0.01)},
    {KEY("power"), FLOAT(1.5)},         {KEY("cycle"), BOOL(0)}};
static const h5ckpt_object polynomial_negative = {MODULE, "PolynomialDecay", 8, polynomial_negative_fields};

/* PolynomialDecay(0.1, np.int64(7), 0.01, 1.5, False, begin=3) */
static const h5ckpt_array np_63 = {
    .dtype = H5CKPT_DTYPE_INT64, .scalar = 1, .nbytes = 8, .data = "\007\000\000\000\000\000\000\000"};
static const h5ckpt_field polynomial_numpy_int_fields[] = {
    {KEY("step_num"), INT(3)},          {KEY("step_size"), INT(1)},
    {KEY("dtype"), STR("float32")},     {KEY("learning_rate"), FLOAT(0.1)},
    {KEY("decay_steps"), ARRAY(np_63)}, {KEY("end_learning_rate"), FLOAT(0.01)},
    {KEY("power"), FLOAT(1.5)},         {KEY("cycle"), BOOL(0)}};
static const h5ckpt_object polynomial_numpy_int = {MODULE, "PolynomialDecay", 8, polynomial_numpy_int_fields};

/* PolynomialDecay(0.1, np.float64(7), 0.01, 1.5, False, begin=3) */
static const h5ckpt_array np_65 = {
    .dtype = H5CKPT_DTYPE_FLOAT64, .scalar = 1, .nbytes = 8, .data = "\000\000\000\000\000\000\034\100"};
static const h5ckpt_field polynomial_numpy_float_fields[] = {
    {KEY("step_num"), INT(3)},          {KEY("step_size"), INT(1)},
    {KEY("dtype"), STR("float32")},     {KEY("learning_rate"), FLOAT(0.1)},
    {KEY("decay_steps"), ARRAY(np_65)}, {KEY("end_learning_rate"), FLOAT(0.01)},
    {KEY("power"), FLOAT(1.5)},         {KEY("cycle"), BOOL(0)}};
static const h5ckpt_object polynomial_numpy_float = {MODULE, "PolynomialDecay", 8, polynomial_numpy_float_fields};

/* CosineDecay(0.1, 3, 120) */
static const h5ckpt_field cosine_fields[] = {{KEY("step_num"), INT(0)},        {KEY("step_size"), INT(1)},
                                             {KEY("dtype"), STR("float32")},   {KEY("learning_rate"), FLOAT(0.1)},
                                             {KEY("step_each_epoch"), INT(3)}, {KEY("epochs"), INT(120)}};
static const h5ckpt_object cosine = {MODULE, "CosineDecay", 6, cosine_fields};

/* CosineDecay(1, 1, 7, begin=3) */
static const h5ckpt_field cosine_past_the_end_fields[] = {
    {KEY("step_num"), INT(3)},      {KEY("step_size"), INT(1)},       {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), INT(1)}, {KEY("step_each_epoch"), INT(1)}, {KEY("epochs"), INT(7)}};
static const h5ckpt_object cosine_past_the_end = {MODULE, "CosineDecay", 6, cosine_past_the_end_fields};

/* CosineDecay(0.1, 1, np.int64(7), begin=3) */
static const h5ckpt_array np_69 = {
    .dtype = H5CKPT_DTYPE_INT64, .scalar = 1, .nbytes = 8, .data = "\007\000\000\000\000\000\000\000"};
static const h5ckpt_field cosine_numpy_int_fields[] = {
    {KEY("step_num"), INT(3)},          {KEY("step_size"), INT(1)},       {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("step_each_epoch"), INT(1)}, {KEY("epochs"), ARRAY(np_69)}};
static const h5ckpt_object cosine_numpy_int = {MODULE, "CosineDecay", 6, cosine_numpy_int_fields};

/* CosineDecay(0.1, 1, np.float32(7), begin=3) */
static const h5ckpt_array np_71 = {.dtype = H5CKPT_DTYPE_FLOAT32, .scalar = 1, .nbytes = 4, .data = "\000\000\340\100"};
static const h5ckpt_field cosine_numpy_float32_fields[] = {
    {KEY("step_num"), INT(3)},          {KEY("step_size"), INT(1)},       {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("step_each_epoch"), INT(1)}, {KEY("epochs"), ARRAY(np_71)}};
static const h5ckpt_object cosine_numpy_float32 = {MODULE, "CosineDecay", 6, cosine_numpy_float32_fields};

/* CosineDecay(0.1, 1, 7, begin=3, dtype='float64') */
static const h5ckpt_field cosine_float64_fields[] = {
    {KEY("step_num"), INT(3)},          {KEY("step_size"), INT(1)},       {KEY("dtype"), STR("float64")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("step_each_epoch"), INT(1)}, {KEY("epochs"), INT(7)}};
static const h5ckpt_object cosine_float64 = {MODULE, "CosineDecay", 6, cosine_float64_fields};

/* CosineDecay(0.1, 1, 7, begin=-5, step=3) */
static const h5ckpt_field cosine_negative_fields[] = {
    {KEY("step_num"), INT(-5)},         {KEY("step_size"), INT(3)},       {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("step_each_epoch"), INT(1)}, {KEY("epochs"), INT(7)}};
static const h5ckpt_object cosine_negative = {MODULE, "CosineDecay", 6, cosine_negative_fields};

/* CosineDecay(0.1, 1, 7, begin=10**12) */
static const h5ckpt_field cosine_far_fields[] = {
    {KEY("step_num"), INT(1000000000000)}, {KEY("step_size"), INT(1)},       {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)},    {KEY("step_each_epoch"), INT(1)}, {KEY("epochs"), INT(7)}};
static const h5ckpt_object cosine_far = {MODULE, "CosineDecay", 6, cosine_far_fields};

/* NoamDecay(512, 4, begin=2) */
static const h5ckpt_field noam_fields[] = {{KEY("step_num"), INT(2)},      {KEY("step_size"), INT(1)},
                                           {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), FLOAT(1.0)},
                                           {KEY("d_model"), INT(512)},     {KEY("warmup_steps"), INT(4)}};
static const h5ckpt_object noam = {MODULE, "NoamDecay", 6, noam_fields};

/* NoamDecay(512, 4, learning_rate=2) */
static const h5ckpt_field noam_factor_fields[] = {{KEY("step_num"), INT(1)},      {KEY("step_size"), INT(1)},
                                                  {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), INT(2)},
                                                  {KEY("d_model"), INT(512)},     {KEY("warmup_steps"), INT(4)}};
static const h5ckpt_object noam_factor = {MODULE, "NoamDecay", 6, noam_factor_fields};

/* NoamDecay(512, 4, dtype='float64') */
static const h5ckpt_field noam_float64_fields[] = {{KEY("step_num"), INT(1)},      {KEY("step_size"), INT(1)},
                                                   {KEY("dtype"), STR("float64")}, {KEY("learning_rate"), FLOAT(1.0)},
                                                   {KEY("d_model"), INT(512)},     {KEY("warmup_steps"), INT(4)}};
static const h5ckpt_object noam_float64 = {MODULE, "NoamDecay", 6, noam_float64_fields};

/* NoamDecay(512, 4, begin=0.5) */
static const h5ckpt_field noam_half_step_fields[] = {{KEY("step_num"), FLOAT(0.5)},  {KEY("step_size"), INT(1)},
                                                     {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), FLOAT(1.0)},
                                                     {KEY("d_model"), INT(512)},     {KEY("warmup_steps"), INT(4)}};
static const h5ckpt_object noam_half_step = {MODULE, "NoamDecay", 6, noam_half_step_fields};

/* LinearLrWarmup(0.1, 4, 0.0, 0.1) */
static const h5ckpt_field warmup_fields[] = {
    {KEY("step_num"), INT(1)},          {KEY("step_size"), INT(1)},    {KEY("dtype"), STR("float32")},
    {KEY("learning_rate"), FLOAT(0.1)}, {KEY("warmup_steps"), INT(4)}, {KEY("lr_ratio_before_warmup"), FLOAT(0.025)}};
static const h5ckpt_object warmup = {MODULE, "LinearLrWarmup", 6, warmup_fields};

/* LinearLrWarmup(1, 3, 0.0, 0.1) */
static const h5ckpt_field warmup_of_an_int_fields[] = {
    {KEY("step_num"), INT(1)},      {KEY("step_size"), INT(1)},
    {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), INT(1)},
    {KEY("warmup_steps"), INT(3)},  {KEY("lr_ratio_before_warmup"), FLOAT(0.03333333333333333)}};
static const h5ckpt_object warmup_of_an_int = {MODULE, "LinearLrWarmup", 6, warmup_of_an_int_fields};

/* LinearLrWarmup(NaturalExpDecay(0.1, 10, 0.5), 3, 0.01, 0.1, begin=0) */
static const h5ckpt_field object_82_fields[] = {{KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
                                                {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), FLOAT(0.1)},
                                                {KEY("decay_steps"), INT(10)},  {KEY("decay_rate"), FLOAT(0.5)},
                                                {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object object_82 = {MODULE, "NaturalExpDecay", 7, object_82_fields};
static const h5ckpt_field warmup_of_natural_exp_fields[] = {
    {KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
    {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), OBJECT(object_82)},
    {KEY("warmup_steps"), INT(3)},  {KEY("lr_ratio_before_warmup"), FLOAT(0.030000000000000002)}};
static const h5ckpt_object warmup_of_natural_exp = {MODULE, "LinearLrWarmup", 6, warmup_of_natural_exp_fields};

/* LinearLrWarmup(NaturalExpDecay(0.1, 10, 0.5, dtype='float64'), 3, 0.01, 0.1, begin=0) */
static const h5ckpt_field object_84_fields[] = {{KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
                                                {KEY("dtype"), STR("float64")}, {KEY("learning_rate"), FLOAT(0.1)},
                                                {KEY("decay_steps"), INT(10)},  {KEY("decay_rate"), FLOAT(0.5)},
                                                {KEY("staircase"), BOOL(0)}};
static const h5ckpt_object object_84 = {MODULE, "NaturalExpDecay", 7, object_84_fields};
static const h5ckpt_field warmup_of_float64_fields[] = {
    {KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
    {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), OBJECT(object_84)},
    {KEY("warmup_steps"), INT(3)},  {KEY("lr_ratio_before_warmup"), FLOAT(0.030000000000000002)}};
static const h5ckpt_object warmup_of_float64 = {MODULE, "LinearLrWarmup", 6, warmup_of_float64_fields};

/* LinearLrWarmup(PiecewiseDecay([2, 4], [1, 2, 3], 0), 3, 0.01, 0.1, begin=0) */
static const h5ckpt_value list_86[] = {INT(2), INT(4)};
static const h5ckpt_value list_87[] = {INT(1), INT(2), INT(3)};
static const h5ckpt_value list_88[] = {INT(1), INT(2), INT(3)};
static const h5ckpt_field object_89_fields[] = {{KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
                                                {KEY("dtype"), STR("float32")}, {KEY("boundaries"), LIST(list_86)},
                                                {KEY("values"), LIST(list_87)}, {KEY("vars"), LIST(list_88)}};
static const h5ckpt_object object_89 = {MODULE, "PiecewiseDecay", 6, object_89_fields};
static const h5ckpt_field warmup_of_piecewise_fields[] = {
    {KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
    {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), OBJECT(object_89)},
    {KEY("warmup_steps"), INT(3)},  {KEY("lr_ratio_before_warmup"), FLOAT(0.030000000000000002)}};
static const h5ckpt_object warmup_of_piecewise = {MODULE, "LinearLrWarmup", 6, warmup_of_piecewise_fields};

/* LinearLrWarmup(LinearLrWarmup(CosineDecay(0.1, 2, 7, begin=3, step=2), 5, 0.01, 0.2), 3, 0.01, 0.1, begin=0) */
static const h5ckpt_field object_91_fields[] = {{KEY("step_num"), INT(3)},        {KEY("step_size"), INT(2)},
                                                {KEY("dtype"), STR("float32")},   {KEY("learning_rate"), FLOAT(0.1)},
                                                {KEY("step_each_epoch"), INT(2)}, {KEY("epochs"), INT(7)}};
static const h5ckpt_object object_91 = {MODULE, "CosineDecay", 6, object_91_fields};
static const h5ckpt_field object_92_fields[] = {
    {KEY("step_num"), INT(1)},      {KEY("step_size"), INT(1)},
    {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), OBJECT(object_91)},
    {KEY("warmup_steps"), INT(5)},  {KEY("lr_ratio_before_warmup"), FLOAT(0.038)}};
static const h5ckpt_object object_92 = {MODULE, "LinearLrWarmup", 6, object_92_fields};
static const h5ckpt_field warmup_of_warmup_fields[] = {
    {KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
    {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), OBJECT(object_92)},
    {KEY("warmup_steps"), INT(3)},  {KEY("lr_ratio_before_warmup"), FLOAT(0.030000000000000002)}};
static const h5ckpt_object warmup_of_warmup = {MODULE, "LinearLrWarmup", 6, warmup_of_warmup_fields};

static const golden goldens[] = {
    {"PiecewiseDecay([2, 4], [0.3, 0.2, 0.1], 0)",
     &piecewise,
     0,
     {0x1.333334p-2, 0x1.333334p-2, 0x1.99999ap-3, 0x1.99999ap-3, 0x1.99999ap-4, 0x1.99999ap-4, 0x1.99999ap-4,
      0x1.99999ap-4}},
    {"PiecewiseDecay([4, 2, 6], [0.3, 0.2, 0.1, 0.05], 0)",
     &piecewise_unsorted,
     0,
     {0x1.333334p-2, 0x1.333334p-2, 0x1.333334p-2, 0x1.333334p-2, 0x1.99999ap-4, 0x1.99999ap-4, 0x1.99999ap-5,
      0x1.99999ap-5}},
    {"PiecewiseDecay([2, 4], [3, 2, 1], 0)",
     &piecewise_ints,
     0,
     {0x1.8p+1, 0x1.8p+1, 0x1p+1, 0x1p+1, 0x1p+0, 0x1p+0, 0x1p+0, 0x1p+0}},
    {"PiecewiseDecay([2.5, float('nan'), 4], [0.3, 0.2, 0.1, 0.05], 0)",
     &piecewise_nan,
     0,
     {0x1.333334p-2, 0x1.333334p-2, 0x1.333334p-2, 0x1.99999ap-4, 0x1.99999ap-5, 0x1.99999ap-5, 0x1.99999ap-5,
      0x1.99999ap-5}},
    {"PiecewiseDecay((2, 4), (0.3, 0.2, 0.1), 5, -1)",
     &piecewise_backwards,
     0,
     {0x1.99999ap-4, 0x1.99999ap-4, 0x1.99999ap-3, 0x1.99999ap-3, 0x1.333334p-2, 0x1.333334p-2, 0x1.333334p-2,
      0x1.333334p-2}},
    {"PiecewiseDecay(np.array([2, 4]), np.array([0.3, 0.2, 0.1]), 0)",
     &piecewise_numpy,
     0,
     {0x1.333334p-2, 0x1.333334p-2, 0x1.99999ap-3, 0x1.99999ap-3, 0x1.99999ap-4, 0x1.99999ap-4, 0x1.99999ap-4,
      0x1.99999ap-4}},
    {"PiecewiseDecay([2, 4], [0.3, 0.2, 0.1], 0, dtype='float64')",
     &piecewise_float64,
     0,
     {0x1.333334p-2, 0x1.333334p-2, 0x1.99999ap-3, 0x1.99999ap-3, 0x1.99999ap-4, 0x1.99999ap-4, 0x1.99999ap-4,
      0x1.99999ap-4}},
    {"PiecewiseDecay([], [0.7], 0)",
     &piecewise_empty,
     0,
     {0x1.666666p-1, 0x1.666666p-1, 0x1.666666p-1, 0x1.666666p-1, 0x1.666666p-1, 0x1.666666p-1, 0x1.666666p-1,
      0x1.666666p-1}},
    {"NaturalExpDecay(0.1, 1000, 0.5, begin=37)",
     &natural_exp,
     2,
     {0x1.921792p-4, 0x1.91e41ep-4, 0x1.91b0aep-4, 0x1.917d48p-4, 0x1.9149e6p-4, 0x1.91168ep-4, 0x1.90e33ap-4,
      0x1.90afeep-4}},
    {"NaturalExpDecay(0.1, 7, 0.5, True, 3, 2)",
     &natural_exp_staircase,
     2,
     {0x1.99999ap-4, 0x1.99999ap-4, 0x1.f0deb4p-5, 0x1.f0deb4p-5, 0x1.f0deb4p-5, 0x1.f0deb4p-5, 0x1.2d5deap-5,
      0x1.2d5deap-5}},
    {"NaturalExpDecay(1, 10, 2)",
     &natural_exp_ints,
     2,
     {0x1p+0, 0x1.a330aep-1, 0x1.57343p-1, 0x1.18fdd6p-1, 0x1.cc1ce4p-2, 0x1.78b564p-2, 0x1.346c4p-2, 0x1.f907d6p-3}},
    {"NaturalExpDecay(0.1, 1000, 0.5, dtype='float64')",
     &natural_exp_float64,
     2,
     {0x1.99999ap-4, 0x1.99652f94cc98cp-4, 0x1.9930cbdeba0dfp-4, 0x1.98fc6edd52e1fp-4, 0x1.98c8188e88b6cp-4,
      0x1.9893c8f3e533ep-4, 0x1.985f80095b95p-4, 0x1.982b3dcfa955dp-4}},
    {"NaturalExpDecay(0.1, 1000, 0.5, begin=10**17)",
     &natural_exp_huge,
     0,
     {0x0p+0, 0x0p+0, 0x0p+0, 0x0p+0, 0x0p+0, 0x0p+0, 0x0p+0, 0x0p+0}},
    {"NaturalExpDecay(0.1, 1000, 0.5, begin=-10**17)",
     &natural_exp_minus_huge,
     0,
     {HUGE_VAL, HUGE_VAL, HUGE_VAL, HUGE_VAL, HUGE_VAL, HUGE_VAL, HUGE_VAL, HUGE_VAL}},
    {"NaturalExpDecay(0.1, np.int64(1000), 0.5, begin=12)",
     &natural_exp_numpy,
     2,
     {0x1.972656p-4, 0x1.96f23ep-4, 0x1.96be2ap-4, 0x1.968a1ep-4, 0x1.965616p-4, 0x1.962216p-4, 0x1.95ee1ep-4,
      0x1.95ba2cp-4}},
    {"NaturalExpDecay(True, 1000, True, 1, begin=True)",
     &natural_exp_bools,
     0,
     {0x1p+0, 0x1p+0, 0x1p+0, 0x1p+0, 0x1p+0, 0x1p+0, 0x1p+0, 0x1p+0}},
    {"NaturalExpDecay(0.1, 1000, 0.5, None, begin=12)",
     &natural_exp_none,
     2,
     {0x1.972656p-4, 0x1.96f23ep-4, 0x1.96be2ap-4, 0x1.968a1ep-4, 0x1.965616p-4, 0x1.962216p-4, 0x1.95ee1ep-4,
      0x1.95ba2cp-4}},
    {"NaturalExpDecay(0.1, 1000, 0.5, begin=0.5, step=0.25)",
     &natural_exp_half_steps,
     2,
     {0x1.997f64p-4, 0x1.99724ap-4, 0x1.99652ep-4, 0x1.995816p-4, 0x1.994afep-4, 0x1.993de4p-4, 0x1.9930ccp-4,
      0x1.9923b4p-4}},
    {"ExponentialDecay(0.1, 1000, 0.9, begin=37)",
     &exponential,
     2,
     {0x1.9801ap-4, 0x1.97f69ep-4, 0x1.97eb9ep-4, 0x1.97e09ep-4, 0x1.97d59ep-4, 0x1.97ca9ep-4, 0x1.97bf9ep-4,
      0x1.97b49ep-4}},
    {"ExponentialDecay(2, 3, 2)",
     &exponential_ints,
     2,
     {0x1p+1, 0x1.428a3p+1, 0x1.965feap+1, 0x1p+2, 0x1.428a3p+2, 0x1.965feap+2, 0x1p+3, 0x1.428a2ep+3}},
    {"ExponentialDecay(0.1, 3, -2.0)",
     &exponential_negative,
     2,
     {0x1.99999ap-4, NAN, NAN, -0x1.99999ap-3, NAN, NAN, 0x1.99999ap-2, NAN}},
    {"ExponentialDecay(0.1, 3, 0, begin=-3)",
     &exponential_zero,
     0,
     {HUGE_VAL, HUGE_VAL, HUGE_VAL, 0x1.99999ap-4, 0x0p+0, 0x0p+0, 0x0p+0, 0x0p+0}},
    {"ExponentialDecay(0.1, 7, 0.9, begin=5, dtype='float64')",
     &exponential_float64,
     2,
     {0x1.7be7e838dc6fbp-4, 0x1.763b0554c8ba5p-4, 0x1.70a3d6c28f5cp-4, 0x1.6b22095ab77edp-4, 0x1.65b54bcc4277dp-4,
      0x1.605d4cf434678p-4, 0x1.5b19be112213cp-4, 0x1.55ea5068033adp-4}},
    {"InverseTimeDecay(0.1, 1000, 0.5, begin=37)",
     &inverse_time,
     0,
     {0x1.9228fap-4, 0x1.91f674p-4, 0x1.91c3fcp-4, 0x1.919192p-4, 0x1.915f36p-4, 0x1.912ce2p-4, 0x1.90fa9ep-4,
      0x1.90c866p-4}},
    {"InverseTimeDecay(0.1, 7, 0.5, True, 3, 2)",
     &inverse_time_staircase,
     0,
     {0x1.99999ap-4, 0x1.99999ap-4, 0x1.111112p-4, 0x1.111112p-4, 0x1.111112p-4, 0x1.111112p-4, 0x1.99999ap-5,
      0x1.99999ap-5}},
    {"InverseTimeDecay(0.3, 7, 0.7, begin=5, dtype='float64')",
     &inverse_time_float64,
     0,
     {0x1.99999a9b10177p-3, 0x1.8000011124926p-3, 0x1.69696a84df39bp-3, 0x1.555555f2747cap-3, 0x1.435e51fcf5f8cp-3,
      0x1.333333ee721a6p-3, 0x1.24924a4b2215cp-3, 0x1.1745d240ae17ap-3}},
    {"InverseTimeDecay(1, 1, -1)",
     &inverse_time_pole,
     0,
     {0x1p+0, HUGE_VAL, -0x1p+0, -0x1p-1, -0x1.555556p-2, -0x1p-2, -0x1.99999ap-3, -0x1.555556p-3}},
    {"PolynomialDecay(0.1, 100, begin=37)",
     &polynomial,
     2,
     {0x1.023316p-4, 0x1.fc371ep-5, 0x1.f40812p-5, 0x1.ebd904p-5, 0x1.e3a9f6p-5, 0x1.db7ae8p-5, 0x1.d34bdcp-5,
      0x1.cb1ccap-5}},
    {"PolynomialDecay(0.1, 7, 0.01, 2.0, True)",
     &polynomial_cycle,
     2,
     {0x1.99999ap-4, 0x1.37cc2cp-4, 0x1.ca155p-5, 0x1.42aa1cp-5, 0x1.b2ad72p-6, 0x1.1c3654p-6, 0x1.83ddbap-7,
      0x1.47ae14p-7}},
    {"PolynomialDecay(0.1, 7, 0.01, 0.5, False, begin=2)",
     &polynomial_root,
     2,
     {0x1.608486p-4, 0x1.3fa02ap-4, 0x1.1a4aa2p-4, 0x1.dc0344p-5, 0x1.6895e8p-5, 0x1.47ae14p-7, 0x1.47ae14p-7,
      0x1.47ae14p-7}},
    {"PolynomialDecay(1, 7, 0, 3, False)",
     &polynomial_ints,
     2,
     {0x1p+0, 0x1.426cf8p-1, 0x1.752d88p-2, 0x1.7e225p-3, 0x1.426cf4p-4, 0x1.7e225p-6, 0x1.7e2232p-9, 0x0p+0}},
    {"PolynomialDecay(0.1, 7, 0.01, 1.5, True, begin=6, dtype='float64')",
     &polynomial_cycle_float64,
     2,
     {0x1.e6eae2069d5b2p-7, 0x1.47ae14p-7, 0x1.20c68de80a232p-5, 0x1.de8f8f0a6302dp-6, 0x1.85092dc9e2eb4p-6,
      0x1.361be73c1bc8cp-6, 0x1.e6eae2069d5b2p-7, 0x1.7ffa9cf278bacp-7}},
    {"PolynomialDecay(0.1, 7, 0.01, 1.5, False, begin=3, dtype='float64')",
     &polynomial_float64,
     2,
     {0x1.90652000841aap-5, 0x1.20c68cb1c1962p-5, 0x1.85092b5085e7dp-6, 0x1.e6eaddd3c2f12p-7, NAN, NAN, NAN, NAN}},
    {"PolynomialDecay(0.1, 7, 0.01, 1.5, True, begin=-3)",
     &polynomial_cycle_negative,
     2,
     {HUGE_VAL, HUGE_VAL, HUGE_VAL, 0x1.99999ap-4, 0x1.4d7f7cp-4, 0x1.07804ep-4, 0x1.90652p-5, 0x1.20c68cp-5}},
    {"PolynomialDecay(0.1, 7, 0.01, 1.5, False, begin=-3)",
     &polynomial_negative,
     2,
     {0x1.4f3368p-3, 0x1.21317ep-3, 0x1.eb5a0cp-4, 0x1.99999ap-4, 0x1.4d7f7cp-4, 0x1.07804ep-4, 0x1.90652p-5,
      0x1.20c68cp-5}},
    {"PolynomialDecay(0.1, np.int64(7), 0.01, 1.5, False, begin=3)",
     &polynomial_numpy_int,
     2,
     {0x1.90652p-5, 0x1.20c68cp-5, 0x1.85092cp-6, 0x1.e6eaep-7, 0x1.47ae14p-7, 0x1.47ae14p-7, 0x1.47ae14p-7,
      0x1.47ae14p-7}},
    {"PolynomialDecay(0.1, np.float64(7), 0.01, 1.5, False, begin=3)",
     &polynomial_numpy_float,
     2,
     {0x1.90652p-5, 0x1.20c68cp-5, 0x1.85092cp-6, 0x1.e6eadcp-7, 0x1.47ae14p-7, 0x1.47ae14p-7, 0x1.47ae14p-7,
      0x1.47ae14p-7}},
    {"CosineDecay(0.1, 3, 120)",
     &cosine,
     2,
     {0x1.99999ap-4, 0x1.99999ap-4, 0x1.99999ap-4, 0x1.9987a4p-4, 0x1.9987a4p-4, 0x1.9987a4p-4, 0x1.9951cp-4,
      0x1.9951cp-4}},
    {"CosineDecay(1, 1, 7, begin=3)",
     &cosine_past_the_end,
     2,
     {0x1.38f72p-1, 0x1.8e11b8p-2, 0x1.818bd8p-3, 0x1.95a1ap-5, 0x0p+0, 0x1.95a1dp-5, 0x1.818bfp-3, 0x1.8e11cap-2}},
    {"CosineDecay(0.1, 1, np.int64(7), begin=3)",
     &cosine_numpy_int,
     2,
     {0x1.f4be9ep-5, 0x1.3e7496p-5, 0x1.346fep-6, 0x1.44815ap-8, 0x0p+0, 0x1.44815ap-8, 0x1.346ff4p-6, 0x1.3e74a2p-5}},
    {"CosineDecay(0.1, 1, np.float32(7), begin=3)",
     &cosine_numpy_float32,
     2,
     {0x1.f4be9ep-5, 0x1.3e7496p-5, 0x1.346fep-6, 0x1.44815ap-8, 0x0p+0, 0x1.44815ap-8, 0x1.346ff4p-6, 0x1.3e74a2p-5}},
    {"CosineDecay(0.1, 1, 7, begin=3, dtype='float64')",
     &cosine_float64,
     2,
     {0x1.f4be9a5ef4ccep-5, 0x1.3e7493aa70ec2p-5, 0x1.346fe2d09a115p-6, 0x1.448143cd068c8p-8, 0x1.766666c4p-50,
      0x1.44816e4375b8bp-8, 0x1.346ff5f1902c5p-6, 0x1.3e749f97a57f5p-5}},
    {"CosineDecay(0.1, 1, 7, begin=-5, step=3)",
     &cosine_negative,
     2,
     {0x1.346fep-6, 0x1.4c7d9ep-4, 0x1.855184p-4, 0x1.3e7494p-5, 0x0p+0, 0x1.3e74a2p-5, 0x1.855186p-4, 0x1.4c7d9ap-4}},
    {"CosineDecay(0.1, 1, 7, begin=10**12)",
     &cosine_far,
     2,
     {0x1.2e3002p-4, 0x1.2e3002p-4, 0x1.2e3002p-4, 0x1.2e3002p-4, 0x1.2e3002p-4, 0x1.2e3002p-4, 0x1.2e3002p-4,
      0x1.2e3002p-4}},
    {"NoamDecay(512, 4, begin=2)",
     &noam,
     0,
     {0x1.6a09e6p-7, 0x1.0f876cp-6, 0x1.6a09e6p-6, 0x1.43d136p-6, 0x1.279a74p-6, 0x1.11aceep-6, 0x1.fffffep-7,
      0x1.e2b7dep-7}},
    {"NoamDecay(512, 4, learning_rate=2)",
     &noam_factor,
     0,
     {0x1.6a09e6p-7, 0x1.6a09e6p-6, 0x1.0f876cp-5, 0x1.6a09e6p-5, 0x1.43d136p-5, 0x1.279a74p-5, 0x1.11aceep-5,
      0x1.fffffep-6}},
    {"NoamDecay(512, 4, dtype='float64')",
     &noam_float64,
     0,
     {0x1.6a09e6p-8, 0x1.6a09e6p-7, 0x1.0f876c8p-6, 0x1.6a09e6p-6, 0x1.43d135867d54p-6, 0x1.279a74b89e08p-6,
      0x1.11acedbc1f7ap-6, 0x1.fffffed9faa4p-7}},
    {"NoamDecay(512, 4, begin=0.5)",
     &noam_half_step,
     0,
     {0x1.6a09e6p-9, 0x1.0f876cp-7, 0x1.c48c6p-7, 0x1.3cc8aap-6, 0x1.555556p-6, 0x1.34bf64p-6, 0x1.1c01aap-6,
      0x1.08654ap-6}},
    {"LinearLrWarmup(0.1, 4, 0.0, 0.1)",
     &warmup,
     0,
     {0x1.99999ap-6, 0x1.99999ap-5, 0x1.333334p-4, 0x1.99999ap-4, 0x1.99999ap-4, 0x1.99999ap-4, 0x1.99999ap-4,
      0x1.99999ap-4}},
    {"LinearLrWarmup(1, 3, 0.0, 0.1)",
     &warmup_of_an_int,
     0,
     {0x1.111112p-5, 0x1.111112p-4, 0x1p+0, 0x1p+0, 0x1p+0, 0x1p+0, 0x1p+0, 0x1p+0}},
    {"LinearLrWarmup(NaturalExpDecay(0.1, 10, 0.5), 3, 0.01, 0.1, begin=0)",
     &warmup_of_natural_exp,
     2,
     {0x0p+0, 0x1.eb851ep-6, 0x1.eb851ep-5, 0x1.608bc6p-4, 0x1.4f5a26p-4, 0x1.3eff2ep-4, 0x1.2f706cp-4, 0x1.20a3e6p-4}},
    {"LinearLrWarmup(NaturalExpDecay(0.1, 10, 0.5, dtype='float64'), 3, 0.01, 0.1, begin=0)",
     &warmup_of_float64,
     2,
     {0x0p+0, 0x1.eb851ep-6, 0x1.eb851ep-5, 0x1.608bc60520028p-4, 0x1.4f5a2490fd4bbp-4, 0x1.3eff2ea52cb29p-4,
      0x1.2f706bbf589f3p-4, 0x1.20a3e743c7bcep-4}},
    {"LinearLrWarmup(PiecewiseDecay([2, 4], [1, 2, 3], 0), 3, 0.01, 0.1, begin=0)",
     &warmup_of_piecewise,
     0,
     {0x0p+0, 0x1.eb851ep-6, 0x1.eb851ep-5, 0x1p+1, 0x1.8p+1, 0x1.8p+1, 0x1.8p+1, 0x1.8p+1}},
    {"LinearLrWarmup(LinearLrWarmup(CosineDecay(0.1, 2, 7, begin=3, step=2), 5, 0.01, 0.2), 3, 0.01, 0.1, begin=0)",
     &warmup_of_warmup,
     2,
     {0x0p+0, 0x1.eb851ep-6, 0x1.eb851ep-5, 0x1.374bc6p-3, 0x1.346fep-6, 0x1.44814ep-8, 0x0p+0, 0x1.448174p-8}},
};

/* ---- Helpers ---- */

static const h5ck_schema *paddle;

static int load_paddle(void)
{
    return h5ck_schema_builtin(NULL, &paddle, NULL);
}

static bool is_wide(const h5ckpt_object *o)
{
    const h5ckpt_value v = {.type = H5CKPT_OBJECT, .as.object = o};
    const h5ckpt_value *inner = h5ckpt_value_get(&v, "learning_rate"), *dtype = h5ckpt_value_get(&v, "dtype");
    if (inner && inner->type == H5CKPT_OBJECT)
        dtype = h5ckpt_value_get(inner, "dtype");
    return strcmp(dtype->as.str, "float64") == 0;
}

/* Equal up to `ulps` units in the last place of a float, or of a double. */
static bool near(double expected, double found, int ulps, bool wide)
{
    if (isnan(expected) || isnan(found))
        return isnan(expected) && isnan(found);
    double unit = fabs(expected) * (wide ? DBL_EPSILON : FLT_EPSILON);
    return expected == found || (isfinite(expected) && fabs(expected - found) <= ulps * unit);
}

static void expect(const h5ckpt_object *o, const int64_t *from, size_t n, const double *expected, int ulps,
                   const char *what)
{
    double rates[RATES];
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_rate_next(paddle, o, from, n, rates, &err), H5CKPT_OK);
    test_expect_none(&err);
    for (size_t i = 0; i < n; i++)
        if (!near(expected[i], rates[i], ulps, is_wide(o))) {
            printf("\n    %s: rate %zu is %a, not %a\n", what, i, rates[i], expected[i]);
            CU_FAIL("a rate differs");
        }
}

static void expect_fault(const h5ckpt_object *o, const int64_t *from, h5ckpt_code code, const char *part)
{
    double rate;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_rate_next(paddle, o, from, 1, &rate, &err), (int)code);
    test_expect_error(&err, code, part);
}

enum { MOST_FIELDS = 8 };

/* A copy of an object with one field's value in another's place, or without the field (value NULL). */
typedef struct changed {
    h5ckpt_field fields[MOST_FIELDS];
    h5ckpt_object object;
} changed;

static const h5ckpt_object *change(changed *c, const h5ckpt_object *o, const char *field, const h5ckpt_value *value)
{
    c->object = *o;
    c->object.fields = c->fields;
    c->object.count = 0;
    for (size_t i = 0; i < o->count; i++) {
        bool it = strcmp(o->fields[i].key.as.str, field) == 0;
        if (it && !value)
            continue;
        c->fields[c->object.count] = o->fields[i];
        if (it)
            c->fields[c->object.count].value = *value;
        c->object.count++;
    }
    return &c->object;
}

/* ---- Cases ---- */

static void agrees_with_paddle(void)
{
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++)
        expect(goldens[i].object, NULL, RATES, goldens[i].rates, goldens[i].ulps, goldens[i].expression);
}

/* From a given step on: the golden of call k is the first rate from the step of call k on; so for one inside. */
static void begins_at_a_step(void)
{
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        const h5ckpt_value o = {.type = H5CKPT_OBJECT, .as.object = goldens[i].object};
        const h5ckpt_value *start = h5ckpt_value_get(&o, "step_num"), *size = h5ckpt_value_get(&o, "step_size");
        if (start->type != H5CKPT_INT || size->type != H5CKPT_INT)
            continue;
        for (size_t k = 0; k < RATES; k++) {
            int64_t from = start->as.i + (int64_t)k * size->as.i;
            expect(goldens[i].object, &from, RATES - k, goldens[i].rates + k, goldens[i].ulps, goldens[i].expression);
        }
    }
}

/* Between two calls of a warm-up its inner decay is where the whole calls before have left it; also before its own
 * step. */
static void begins_between_two_calls(void)
{
    static const h5ckpt_field inner_fields[] = {{KEY("step_num"), INT(0)},      {KEY("step_size"), INT(1)},
                                                {KEY("dtype"), STR("float32")}, {KEY("learning_rate"), FLOAT(1)},
                                                {KEY("decay_steps"), INT(1)},   {KEY("decay_rate"), INT(2)},
                                                {KEY("staircase"), BOOL(0)}};
    static const h5ckpt_object inner = {MODULE, "ExponentialDecay", 7, inner_fields};
    static const h5ckpt_field fields[] = {{KEY("step_num"), INT(10)},       {KEY("step_size"), INT(4)},
                                          {KEY("dtype"), STR("float32")},   {KEY("learning_rate"), OBJECT(inner)},
                                          {KEY("warmup_steps"), INT(-100)}, {KEY("lr_ratio_before_warmup"), FLOAT(0)}};
    static const h5ckpt_object outer = {MODULE, "LinearLrWarmup", 6, fields};
    static const struct {
        int64_t from;
        double rate;
    } cases[] = {{10, 1}, {13, 1}, {14, 2}, {17, 2}, {18, 4}, {9, 0.5}, {6, 0.5}, {5, 0.25}, {-90, 0x1p-25}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(&outer, &cases[i].from, 1, &cases[i].rate, 0, "a warm-up between two calls");
}

/* rate_at of a nested decay must not loop over the calls before, nor n rates over a piecewise decay's boundaries. */
static void takes_time_by_the_number_of_rates(void)
{
    enum { BOUNDARIES = 20000, N = 200000 };
    h5ckpt_value *boundaries = calloc(BOUNDARIES, sizeof *boundaries);
    h5ckpt_value *values = calloc(BOUNDARIES + 1, sizeof *values);
    double *rates = calloc(N, sizeof *rates);
    for (int i = 0; i <= BOUNDARIES; i++) {
        values[i] = h5ck_value_float(1.0 / (i + 1));
        if (i < BOUNDARIES)
            boundaries[i] = h5ck_value_int((i + 1) * 10);
    }
    const h5ckpt_value b = {.type = H5CKPT_LIST, .count = BOUNDARIES, .as.items = boundaries};
    const h5ckpt_value v = {.type = H5CKPT_LIST, .count = BOUNDARIES + 1, .as.items = values};
    changed c[3];
    const h5ckpt_object *o = change(&c[0], &piecewise, "boundaries", &b);
    o = change(&c[1], change(&c[2], o, "values", &v), "vars", &v);
    clock_t start = clock();
    CU_ASSERT_EQUAL(h5ck_rate_next(paddle, o, NULL, N, rates, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(rates[9], 1.0);
    CU_ASSERT_EQUAL(rates[10], 0.5);
    CU_ASSERT_EQUAL(rates[N - 1], (double)(float)(1.0 / 20000));
    const int64_t far = INT64_MAX / 4;
    expect(&warmup_of_warmup, &far, 0, rates, 0, "far away");
    CU_ASSERT_EQUAL(h5ck_rate_next(paddle, &warmup_of_warmup, &far, 1, rates, NULL), H5CKPT_OK);
    CU_ASSERT_TRUE(rates[0] >= 0 && rates[0] <= 0.1000001);
    CU_ASSERT_TRUE(clock() - start < 5 * CLOCKS_PER_SEC);
    free(boundaries);
    free(values);
    free(rates);
}

/* NoamDecay of 1.5 has no learning_rate: its factor is 1. */
static void takes_the_default_of_a_field_that_older_versions_lack(void)
{
    changed c;
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++)
        if (goldens[i].object == &noam)
            expect(change(&c, &noam, "learning_rate", NULL), NULL, RATES, goldens[i].rates, 0, "noam of 1.5");
}

/* Where Paddle raises an exception (ZeroDivisionError, TypeError for a complex rate, OverflowError). */
static void refuses_what_paddle_cannot_compute(void)
{
    static const h5ckpt_value zero = INT(0), minus = INT(-4), tiny = FLOAT(1e-300), zero_f = FLOAT(-0.0);
    const int64_t step_0 = 0, step_minus_1 = -1;
    changed c;
    expect_fault(&noam, &step_0, H5CKPT_INVALID,
                 "NoamDecay: field 'step_num': expected a number above 0, found 0, at step 0");
    expect_fault(&noam, &step_minus_1, H5CKPT_INVALID, "field 'step_num': expected a number above 0, found -1");
    expect_fault(change(&c, &noam, "warmup_steps", &zero), NULL, H5CKPT_INVALID, "NoamDecay: field 'warmup_steps'");
    expect_fault(change(&c, &noam, "warmup_steps", &minus), NULL, H5CKPT_INVALID,
                 "expected a number above 0, found -4");
    expect_fault(change(&c, &noam, "warmup_steps", &tiny), NULL, H5CKPT_INVALID, "no larger than a float64");
    expect_fault(change(&c, &noam, "d_model", &zero), NULL, H5CKPT_INVALID,
                 "field 'd_model': expected a number above 0");
    expect_fault(change(&c, &natural_exp, "decay_steps", &zero), NULL, H5CKPT_INVALID,
                 "NaturalExpDecay: field 'decay_steps': expected a number other than 0, found 0");
    expect_fault(change(&c, &exponential, "decay_steps", &zero_f), NULL, H5CKPT_INVALID, "field 'decay_steps'");
    expect_fault(change(&c, &inverse_time, "decay_steps", &zero), NULL, H5CKPT_INVALID, "field 'decay_steps'");
    expect_fault(change(&c, &polynomial, "decay_steps", &zero), NULL, H5CKPT_INVALID, "field 'decay_steps'");
    expect_fault(change(&c, &polynomial_cycle, "decay_steps", &zero), NULL, H5CKPT_INVALID, "field 'decay_steps'");
    expect_fault(change(&c, &cosine, "step_each_epoch", &zero), NULL, H5CKPT_INVALID, "field 'step_each_epoch'");
    expect_fault(change(&c, &cosine, "epochs", &zero), NULL, H5CKPT_INVALID, "field 'epochs'");
}

/* The inner decay's exception comes through even while the warm-up does not use its rate, as in Paddle. */
static void refuses_a_fault_of_the_inner_decay(void)
{
    static const h5ckpt_value zero = INT(0);
    changed inner, outer;
    const h5ckpt_value v = {.type = H5CKPT_OBJECT, .as.object = change(&inner, &noam, "step_num", &zero)};
    expect_fault(change(&outer, &warmup, "learning_rate", &v), NULL, H5CKPT_INVALID, "NoamDecay: field 'step_num'");
}

static void refuses_missing_and_mistyped_fields(void)
{
    static const h5ckpt_value text = STR("0.1"), none = NONE, half = STR("float16"), list[] = {FLOAT(1), STR("x")};
    static const h5ckpt_value items = LIST(list), complex_item = EMPTY_LIST;
    static const h5ckpt_array c64 = {.dtype = H5CKPT_DTYPE_COMPLEX64, .scalar = 1, .nbytes = 8, .data = "12345678"};
    static const h5ckpt_value numpy_complex = ARRAY(c64);
    static const h5ckpt_value big = {.type = H5CKPT_BIGINT, .count = 9, .as.str = "\0\0\0\0\0\0\0\0\1"};
    static const char *const fields[] = {"step_num",    "step_size",  "dtype",    "learning_rate",
                                         "decay_steps", "decay_rate", "staircase"};
    changed c;
    char part[100];
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        snprintf(part, sizeof part, "NaturalExpDecay: field '%s': expected a value, found none", fields[i]);
        expect_fault(change(&c, &natural_exp, fields[i], NULL), NULL, H5CKPT_INVALID, part);
        snprintf(part, sizeof part, "NaturalExpDecay: field '%s': expected ", fields[i]);
        expect_fault(change(&c, &natural_exp, fields[i], &items), NULL, H5CKPT_INVALID, part);
    }
    expect_fault(change(&c, &natural_exp, "learning_rate", &text), NULL, H5CKPT_INVALID,
                 "expected a number, found str");
    expect_fault(change(&c, &natural_exp, "step_num", &big), NULL, H5CKPT_INVALID, "found an int beyond 64 bits");
    expect_fault(change(&c, &natural_exp, "decay_steps", &big), NULL, H5CKPT_INVALID, "found an int beyond 64 bits");
    expect_fault(change(&c, &natural_exp, "learning_rate", &none), NULL, H5CKPT_INVALID,
                 "expected a number, found None");
    expect_fault(change(&c, &natural_exp, "learning_rate", &numpy_complex), NULL, H5CKPT_INVALID, "found NumPy scalar");
    expect_fault(change(&c, &natural_exp, "staircase", &text), NULL, H5CKPT_INVALID, "expected a bool, found str");
    expect_fault(change(&c, &natural_exp, "dtype", &half), NULL, H5CKPT_INVALID,
                 "expected 'float32' or 'float64', found float16");
    expect_fault(change(&c, &warmup, "learning_rate", &text), NULL, H5CKPT_INVALID, "a number or a decay, found str");
    expect_fault(change(&c, &piecewise, "values", &text), NULL, H5CKPT_INVALID, "a list of numbers, found str");
    expect_fault(change(&c, &piecewise, "values", &items), NULL, H5CKPT_INVALID, "numbers only, found str");
    expect_fault(change(&c, &piecewise, "boundaries", &numpy_complex), NULL, H5CKPT_INVALID, "a list of numbers");
    expect_fault(change(&c, &piecewise, "values", &complex_item), NULL, H5CKPT_INVALID, "found 0");
}

static void refuses_piecewise_lists_that_do_not_fit(void)
{
    static const h5ckpt_value two[] = {FLOAT(1), FLOAT(2)}, list = LIST(two);
    changed c;
    expect_fault(change(&c, &piecewise, "values", &list), NULL, H5CKPT_INVALID,
                 "PiecewiseDecay: field 'values': expected 3 numbers, one more than boundaries, found 2");
    expect_fault(change(&c, &piecewise, "vars", &list), NULL, H5CKPT_INVALID, "field 'vars': expected 3 numbers");
}

static void refuses_steps_beyond_64_bits(void)
{
    static const h5ckpt_value most = INT(INT64_MAX), least = INT(INT64_MIN), minus = INT(-1);
    changed c[2];
    double rates[3];
    h5ckpt_error *err = NULL;
    const h5ckpt_object *o = change(&c[0], &natural_exp, "step_num", &most);
    CU_ASSERT_EQUAL(h5ck_rate_next(paddle, o, NULL, 1, rates, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(h5ck_rate_next(paddle, o, NULL, 2, rates, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "field 'step_num': expected steps within 64 bits");
    o = change(&c[1], change(&c[0], &natural_exp, "step_num", &least), "step_size", &minus);
    CU_ASSERT_EQUAL(h5ck_rate_next(paddle, o, NULL, 2, rates, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "field 'step_num': expected steps within 64 bits");
    o = change(&c[1], change(&c[0], &natural_exp, "step_num", &most), "step_size", &least);
    CU_ASSERT_EQUAL(h5ck_rate_next(paddle, o, NULL, 2, rates, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(h5ck_rate_next(paddle, o, NULL, 3, rates, NULL), H5CKPT_INVALID);
}

/* A step size of 0 stays where it is, and a given step of a warm-up is then no call away. */
static void stands_still_with_a_step_size_of_0(void)
{
    static const h5ckpt_value zero = INT(0);
    const int64_t far = 1000;
    double rates[3], at;
    changed c;
    const h5ckpt_object *o = change(&c, &warmup_of_natural_exp, "step_size", &zero);
    CU_ASSERT_EQUAL(h5ck_rate_next(paddle, o, NULL, 3, rates, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(rates[0], rates[2]);
    CU_ASSERT_EQUAL(h5ck_rate_next(paddle, o, &far, 1, &at, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(at, (double)0.1f);
}

static void refuses_classes_without_a_formula(void)
{
    changed c;
    h5ckpt_object other = natural_exp;
    other.class_name = "Mine";
    expect_fault(&other, NULL, H5CKPT_USAGE, "found paddle.fluid.dygraph.learning_rate_scheduler.Mine");
    other.class_name = "NaturalExpDecay";
    other.module = "mine";
    expect_fault(&other, NULL, H5CKPT_USAGE, "mine.NaturalExpDecay");
    const h5ckpt_value v = {.type = H5CKPT_OBJECT, .as.object = &other};
    expect_fault(change(&c, &warmup, "learning_rate", &v), NULL, H5CKPT_USAGE, "mine.NaturalExpDecay");
}

/* Deeper than any value of a state can be: an error, and no deep stack. */
static void refuses_a_chain_without_end(void)
{
    enum { DEPTH = H5CK_VALUE_DEPTH + 1 };
    static changed chain[DEPTH];
    static h5ckpt_value values[DEPTH];
    const h5ckpt_object *o = &warmup;
    double rate;
    for (int i = 0; i < DEPTH; i++) {
        if (i == H5CK_VALUE_DEPTH - 1) {
            CU_ASSERT_EQUAL(h5ck_rate_next(paddle, o, NULL, 1, &rate, NULL), H5CKPT_OK);
        }
        values[i] = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = o};
        o = change(&chain[i], &warmup, "learning_rate", &values[i]);
    }
    expect_fault(o, NULL, H5CKPT_INVALID, "expected decays at most 100 deep");
}

static void knows_its_formulas(void)
{
    bool required;
    size_t count = 0;
    while (h5ck_rate_formula(count))
        CU_ASSERT_TRUE(h5ck_rate_known(h5ck_rate_formula(count++)));
    CU_ASSERT_EQUAL(count, 8);
    CU_ASSERT_FALSE(h5ck_rate_known("linear"));
    CU_ASSERT_FALSE(h5ck_rate_known(NULL));
    CU_ASSERT_STRING_EQUAL(h5ck_rate_parameter("polynomial", 0, &required), "step_num");
    CU_ASSERT_TRUE(required);
    CU_ASSERT_STRING_EQUAL(h5ck_rate_parameter("polynomial", 7, &required), "cycle");
    CU_ASSERT_FALSE(required);
    CU_ASSERT_PTR_NULL(h5ck_rate_parameter("polynomial", 8, &required));
    CU_ASSERT_PTR_NULL(h5ck_rate_parameter("noam", 6, &required));
    CU_ASSERT_PTR_NULL(h5ck_rate_parameter("linear", 0, &required));
}

int main(void)
{
    static const test_case cases[] = {
        {"agrees with Paddle", agrees_with_paddle},
        {"begins at a step", begins_at_a_step},
        {"begins between two calls", begins_between_two_calls},
        {"takes time by the number of rates", takes_time_by_the_number_of_rates},
        {"takes the default of a field that older versions lack",
         takes_the_default_of_a_field_that_older_versions_lack},
        {"refuses what Paddle cannot compute", refuses_what_paddle_cannot_compute},
        {"refuses a fault of the inner decay", refuses_a_fault_of_the_inner_decay},
        {"refuses missing and mistyped fields", refuses_missing_and_mistyped_fields},
        {"refuses piecewise lists that do not fit", refuses_piecewise_lists_that_do_not_fit},
        {"refuses steps beyond 64 bits", refuses_steps_beyond_64_bits},
        {"stands still with a step size of 0", stands_still_with_a_step_size_of_0},
        {"refuses classes without a formula", refuses_classes_without_a_formula},
        {"refuses a chain without end", refuses_a_chain_without_end},
        {"knows its formulas", knows_its_formulas},
        {NULL, NULL}};
    if (load_paddle())
        return 1;
    int rc = test_run("rate", cases);
    h5ck_schema_free(paddle);
    return rc;
}
