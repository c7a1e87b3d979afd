/* plan.c - growing a plan. Arrays live in its arena: they double, and what they leave behind goes with the arena. */
#include "move/plan.h"

#include "base/fs.h"

#include <string.h>

static void *grown(h5ck_arena *arena, void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    size_t more = *room ? 2 * *room : 64;
    void *p = h5ck_arena_zalloc(arena, more, size);
    if (!p)
        return NULL;
    if (count)
        memcpy(p, items, count * size);
    *room = more;
    return p;
}

int h5ck_plan_new_companion(h5ck_plan *plan, const char *path, h5ck_companion **companion, h5ckpt_error **err)
{
    h5ck_companion *c = h5ck_arena_zalloc(&plan->arena, 1, sizeof *c);
    if (!c || !(c->path = h5ck_arena_strdup(&plan->arena, path)))
        return h5ck_fail_nomem(err);
    *companion = c;
    return h5ck_fs_stage_path(path, &plan->arena, &c->stage, err);
}

int h5ck_plan_add_dir(h5ck_plan *plan, const char *relative, h5ckpt_error **err)
{
    void *dirs = grown(&plan->arena, (void *)plan->dirs, plan->dir_count, &plan->dir_room, sizeof *plan->dirs);
    if (!dirs)
        return h5ck_fail_nomem(err);
    plan->dirs = dirs;
    plan->dirs[plan->dir_count++] = relative;
    return 0;
}

int h5ck_plan_add_file(h5ck_plan *plan, const h5ck_plan_file *file, size_t *index, h5ckpt_error **err)
{
    void *files = grown(&plan->arena, plan->files, plan->file_count, &plan->file_room, sizeof *plan->files);
    if (!files)
        return h5ck_fail_nomem(err);
    plan->files = files;
    *index = plan->file_count;
    plan->files[plan->file_count++] = *file;
    return 0;
}

int h5ck_plan_add_move(h5ck_plan *plan, const h5ckpt_tensor *tensor, size_t file, uint64_t offset, h5ckpt_error **err)
{
    void *moves = grown(&plan->arena, plan->moves, plan->move_count, &plan->move_room, sizeof *plan->moves);
    if (!moves)
        return h5ck_fail_nomem(err);
    plan->moves = moves;
    plan->moves[plan->move_count++] = (h5ck_plan_move){.tensor = tensor, .file = file, .offset = offset};
    return 0;
}

int h5ck_plan_add_piece(h5ck_plan *plan, size_t file, uint64_t offset, const void *data, size_t len, h5ckpt_error **err)
{
    void *pieces = grown(&plan->arena, plan->pieces, plan->piece_count, &plan->piece_room, sizeof *plan->pieces);
    if (!pieces)
        return h5ck_fail_nomem(err);
    plan->pieces = pieces;
    plan->pieces[plan->piece_count++] = (h5ck_plan_piece){file, offset, data, len};
    return 0;
}

void h5ck_plan_free(h5ck_plan *plan)
{
    if (plan->discard)
        plan->discard(plan);
    h5ck_arena_free(&plan->arena);
    *plan = (h5ck_plan){0};
}
