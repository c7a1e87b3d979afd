/*
 * onnx - a TensorProto of ONNX: what it says of itself, and where its elements are.
 *
 *     TensorProto  1 = dims, 2 = data_type, 3 = segment, 8 = name, 9 = raw_data, 14 = data_location (1: another file),
 *                  13 = external_data: { 1 = key, 2 = value } of location, offset, length
 *                  4 = float_data, 5 = int32_data, 7 = int64_data, 10 = double_data, 11 = uint64_data: the elements as
 *                  numbers of protobuf, in the field that the data_type has
 *
 * raw_data is a plain range of the file. So are float_data and double_data where they are packed into one run, as they
 * are always written; other numbers are varints, and a decoder gives the elements. It knows where in the file every
 * 65,536th number stands, so that it need not begin at the first.
 *
 * Refused: data types that are no dtype here (strings, 4-bit integers, float8 without negative zero), segments, elements
 * in two places at once or in none, more or fewer of them than the shape says, a number that its type does not hold.
 * Source: ONNX's onnx.proto; files of the Python package onnx 1.23.
 */
#ifndef H5CK_PARSE_ONNX_H
#define H5CK_PARSE_ONNX_H

#include "model/tensor.h"
#include "parse/protobuf.h"

typedef struct h5ck_onnx_tensor {
    h5ckpt_tensor_info info; /* all but the LoD; nbytes is set */
    uint64_t shape[H5CK_MAX_RANK];
    bool external; /* the elements are in another file: */
    const char *location;
    uint64_t offset, length;
    bool has_length;
    h5ck_extent extent; /* where they are else; its file is the given one */
} h5ck_onnx_tensor;

/* Reads the TensorProto. Strings lie in `scratch`, a decoder in `arena`. An error names the tensor, once known. */
int h5ck_onnx_read_tensor(h5ck_pb_reader *message, h5ck_file *file, h5ck_arena *scratch, h5ck_arena *arena,
                          h5ck_onnx_tensor *t, h5ckpt_error **err);

/* A StringStringEntryProto. Both lie in the arena. */
int h5ck_onnx_read_pair(h5ck_pb_reader *message, h5ck_arena *arena, const char **key, const char **value,
                        h5ckpt_error **err);

/* ---- onnx_numbers.c ---- */

/* The elements that stand as numbers in the message, as an extent. */
int h5ck_onnx_numbers(const h5ck_pb_reader *message, h5ck_file *file, const h5ckpt_tensor_info *info, h5ck_arena *arena,
                      h5ck_extent *extent, h5ckpt_error **err);

/* The field that holds the elements of a dtype. */
uint32_t h5ck_onnx_field_of(const h5ck_dtype *dtype);

#endif
