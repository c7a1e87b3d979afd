/*
 * lod - the header of Paddle's LoDTensor stream.
 *
 *     u32 version = 0 | u64 lod_level | per level: u64 nbytes, nbytes of u64 offsets |
 *     u32 tensor version = 0 | i32 desc_len | TensorDesc (protobuf: 1 = data_type, 2 = dims) | data
 *
 * Refused: other versions, levels or sizes past the file's end, TensorDesc with unknown fields or wire types, negative
 * dims, data types that are no element types. Source: facts checked against files of Paddle 1.8.5 and 3.3.1.
 */
#ifndef H5CK_PARSE_LOD_H
#define H5CK_PARSE_LOD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* Reads the header of the stream that begins at `offset` of the open file of `size` bytes. Shape and LoD lie in the
 * arena; *data_offset is where the elements begin. info->name is left alone, info->nbytes is set. That the data is all
 * there is the caller's check (it knows whether another stream may follow). Where `listing` is not NULL, appends a line
 * for each field: offset, bytes, meaning. */
int h5ck_lod_read(int fd, uint64_t offset, uint64_t size, h5ck_arena *arena, h5ckpt_tensor_info *info,
                  uint64_t *data_offset, h5ck_buf *listing, h5ckpt_error **err);

/* Appends the header that Paddle writes for this tensor (dims unpacked). */
int h5ck_lod_write(const h5ckpt_tensor_info *info, h5ck_buf *out, h5ckpt_error **err);

#endif
