/*
 * fmt_hdf5_pack.c - compressed datasets: chunks, shuffled (elements of more than one byte) and then deflated or packed
 * by Zstandard.
 *
 * A chunk is one range of the tensor's elements, so that it is read and written in one piece: its shape is (1, .., 1, k,
 * whole, .., whole), with k such that it has at most 1 MiB. Where the axis of k is not the first, k must divide it: all
 * chunks but the last are to hold as many elements. HDF5 wants the last one whole, too; it is padded by zeros.
 *
 * The mover's threads pack chunks, and write them side by side. A chunk's place is behind the one whose turn was before
 * it, in the order in which the mover begins them (plan.h); so the same input gives the same bytes whatever the number
 * of threads, and the chunk under way whose turn is first never waits. libhdf5 hears of them only after the move,
 * dataset by dataset: it allocates each chunk where it already is (h5_file.c), and stores its place and size in the
 * dataset's index.
 *
 * What stays as it is: tensors under 32 KiB, for the index of a chunked dataset takes 2 to 3 KiB, which is what such a
 * tensor of weights shrinks by; those whose rows are longer than a chunk and have no part from 64 KiB on that divides
 * them.
 */
#include "format/fmt_hdf5_pack.h"
#include "base/fs.h"
#include "hdf5/h5_filter.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FROM = 32 << 10, LEAST = 64 << 10 };

/* A chunk in the file. */
struct h5ck_fmt_hdf5_chunk {
    uint64_t at;
    uint32_t size, skipped;
};

struct h5ck_fmt_hdf5_packed {
    h5ck_packer base; /* first: the two have one address */
    h5ck_fmt_hdf5_packs *all;
    h5ck_fmt_hdf5_packed *next;
    const char *name;
    h5ck_hdf5_filters filters;
    size_t rank;
    hsize_t shape[H5CK_MAX_RANK], chunk[H5CK_MAX_RANK];
    haddr_t address;
    uint64_t nbytes;
    uint64_t count;
    uint64_t first_turn; /* of its chunks, which have one after another */
    h5ck_fmt_hdf5_chunk *chunks;
};

/* ---- The chunks' shape ---- */

/* The largest k up to `most` that divides n, but not under `least`; 0 for none. */
static uint64_t divisor(uint64_t n, uint64_t most, uint64_t least)
{
    for (uint64_t k = most; k >= least && k > 0; k--)
        if (n % k == 0)
            return k;
    return 0;
}

static bool choose_chunk(const h5ckpt_tensor_info *info, h5ck_fmt_hdf5_packed *p)
{
    uint64_t tail = h5ckpt_dtype_size(info->dtype); /* bytes of one index of the axis */
    size_t axis = info->rank;
    if (info->nbytes < FROM || info->rank == 0)
        return false;
    for (size_t i = 0; i < info->rank; i++) {
        p->shape[i] = info->shape[i];
        p->chunk[i] = 1;
    }
    while (axis > 0 && tail * info->shape[axis - 1] <= H5CK_COPY_SLAB) /* no overflow: nbytes are counted */
        tail *= p->chunk[axis - 1] = info->shape[axis - 1], axis--;
    if (axis > 0) {
        uint64_t n = info->shape[--axis], most = H5CK_COPY_SLAB / tail;
        uint64_t count = (n + most - 1) / most;
        p->chunk[axis] = axis ? divisor(n, most, (LEAST + tail - 1) / tail) : (n + count - 1) / count;
        tail *= p->chunk[axis];
    }
    p->rank = info->rank;
    p->base.piece = (size_t)tail;
    p->count = tail ? (info->nbytes + tail - 1) / tail : 0;
    return tail != 0;
}

/* The first element of chunk `index`. */
static void chunk_start(const h5ck_fmt_hdf5_packed *p, uint64_t index, hsize_t *start)
{
    for (size_t i = p->rank; i-- > 0;) {
        uint64_t grid = (p->shape[i] + p->chunk[i] - 1) / p->chunk[i];
        start[i] = index % grid * p->chunk[i];
        index /= grid;
    }
}

/* ---- A dataset ---- */

static void choose_filters(const h5ck_plan *plan, const h5ckpt_tensor_info *info, h5ck_hdf5_filters *f)
{
    size_t size = h5ckpt_dtype_size(info->dtype);
    *f = (h5ck_hdf5_filters){.count = 0};
    if (size > 1) {
        f->at[f->count].id = H5Z_FILTER_SHUFFLE;
        f->at[f->count++].value = (unsigned)size;
    }
    f->at[f->count].id = plan->compress == H5CKPT_COMPRESS_ZSTD ? H5CK_HDF5_ZSTD : H5Z_FILTER_DEFLATE;
    f->at[f->count++].value = (unsigned)plan->compress_level;
}

/* Zstandard need not be known to libhdf5 for this: it is an optional filter to it, which it passes over when asked what
 * it may do. No reader passes over it. */
static hid_t make_list(const h5ck_fmt_hdf5_packed *p, hid_t from)
{
    hid_t list = H5Pcopy(from);
    bool ok = list >= 0 && H5Pset_chunk(list, (int)p->rank, p->chunk) >= 0 &&
              H5Pset_alloc_time(list, H5D_ALLOC_TIME_INCR) >= 0;
    for (size_t i = 0; ok && i < p->filters.count; i++) {
        unsigned value = p->filters.at[i].value;
        switch (p->filters.at[i].id) {
        case H5Z_FILTER_SHUFFLE:
            ok = H5Pset_shuffle(list) >= 0;
            break;
        case H5Z_FILTER_DEFLATE:
            ok = H5Pset_deflate(list, value) >= 0;
            break;
        default:
            ok = H5Pset_filter(list, H5CK_HDF5_ZSTD, H5Z_FLAG_OPTIONAL, 1, &value) >= 0;
        }
    }
    if (ok)
        return list;
    h5ck_hdf5_close(list);
    return -1;
}

static int put(const h5ck_packer *self, uint64_t index, const void *data, size_t n, void **scratch, h5ckpt_error **err);

int h5ck_fmt_hdf5_pack(h5ck_fmt_hdf5_packs *packs, h5ck_plan *plan, const h5ckpt_tensor *t, hid_t list,
                       h5ck_fmt_hdf5_packed **packed, hid_t *own, h5ckpt_error **err)
{
    h5ck_fmt_hdf5_packed p = {.base = {.put = put}, .all = packs, .name = t->info.name, .nbytes = t->info.nbytes};
    *packed = NULL;
    *own = -1;
    if (!choose_chunk(&t->info, &p))
        return 0;
    choose_filters(plan, &t->info, &p.filters);
    p.chunks = h5ck_arena_zalloc(&plan->arena, (size_t)p.count, sizeof *p.chunks);
    if (!p.chunks || !(*packed = h5ck_arena_memdup(&plan->arena, &p, sizeof p)))
        return h5ck_fail_nomem(err);
    *own = make_list(&p, list);
    return *own < 0 ? h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot make a list for compressed datasets") : 0;
}

int h5ck_fmt_hdf5_pack_move(h5ck_fmt_hdf5_packed *p, h5ck_plan *plan, const h5ckpt_tensor *t, size_t file,
                            hid_t dataset, h5ckpt_error **err)
{
    H5O_info_t info;
    if (H5Oget_info2(dataset, &info, H5O_INFO_BASIC) < 0)
        return h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot tell where a dataset lies");
    int rc = h5ck_plan_add_move(plan, t, file, 0, err);
    if (rc)
        return rc;
    plan->moves[plan->move_count - 1].packer = &p->base;
    p->address = info.addr;
    *(p->all->last ? &p->all->last->next : &p->all->first) = p;
    p->all->last = p;
    p->all->count++;
    return 0;
}

/* ---- While the mover moves ---- */

static void free_tools(void *scratch)
{
    h5ck_hdf5_tools_free(scratch);
}

/* Waits until few chunks are missing before `turn`. Looks up now and then, for what failed elsewhere does not wake it.
 * The lock is held. */
static bool come_near(h5ck_fmt_hdf5_packs *all, uint64_t turn)
{
    enum { LOOK_UP_NS = 50000000 };
    while (turn - all->turn >= H5CK_FMT_HDF5_HELD && !atomic_load(&all->plan->stopped)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_UP_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&all->moved_on, &all->lock, &until);
    }
    return turn - all->turn < H5CK_FMT_HDF5_HELD;
}

/* The chunk whose turn it is gets its place. The lock is held. */
static void place(h5ck_fmt_hdf5_packs *all, h5ck_fmt_hdf5_chunk *c)
{
    c->at = all->next;
    all->next += c->size;
    all->turn++;
    pthread_cond_broadcast(&all->moved_on);
}

/* The chunk that was held for this turn, with its place; false where there is none. Its bytes are the caller's. */
static bool take_held(h5ck_fmt_hdf5_packs *all, h5ck_fmt_hdf5_chunk **c, unsigned char **bytes)
{
    pthread_mutex_lock(&all->lock);
    size_t slot = (size_t)(all->turn % H5CK_FMT_HDF5_HELD);
    *c = all->held[slot].chunk;
    *bytes = all->held[slot].bytes;
    if (*c) {
        all->held[slot].chunk = NULL;
        all->held[slot].bytes = NULL;
        place(all, *c);
    }
    pthread_mutex_unlock(&all->lock);
    return *c != NULL;
}

static int hold(h5ck_fmt_hdf5_packs *all, uint64_t turn, h5ck_fmt_hdf5_chunk *c, const unsigned char *packed,
                h5ckpt_error **err)
{
    size_t slot = (size_t)(turn % H5CK_FMT_HDF5_HELD);
    unsigned char *bytes = malloc(c->size);
    if (!bytes)
        return h5ck_fail_nomem(err);
    memcpy(bytes, packed, c->size);
    all->held[slot].chunk = c;
    all->held[slot].bytes = bytes;
    return 0;
}

/* Writes the chunk, and those that waited for it; or leaves it to the thread that has the turn before. */
static int store(h5ck_fmt_hdf5_packs *all, uint64_t turn, h5ck_fmt_hdf5_chunk *c, const unsigned char *packed,
                 h5ckpt_error **err)
{
    unsigned char *bytes = NULL;
    int rc = 0;
    pthread_mutex_lock(&all->lock);
    bool near = come_near(all, turn), ours = all->turn == turn;
    if (!near)
        rc = h5ck_fail(err, H5CKPT_SYSTEM, "stopped");
    else if (ours)
        place(all, c);
    else
        rc = hold(all, turn, c, packed, err);
    pthread_mutex_unlock(&all->lock);
    if (!ours)
        return rc;
    do {
        rc = h5ck_fs_pwrite(all->file.fd, bytes ? bytes : packed, c->size, c->at, err);
        free(bytes);
    } while (rc == 0 && take_held(all, &c, &bytes));
    return rc;
}

static int pack_and_write(h5ck_hdf5_tools *tools, const h5ck_fmt_hdf5_packed *p, uint64_t index,
                          const unsigned char *data, h5ckpt_error **err)
{
    const unsigned char *packed;
    size_t size;
    h5ck_fmt_hdf5_chunk *c = &p->chunks[index];
    int rc = h5ck_hdf5_pack(tools, &p->filters, data, p->base.piece, &packed, &size, &c->skipped, err);
    if (rc)
        return rc;
    c->size = (uint32_t)size; /* at most a piece */
    return store(p->all, p->first_turn + index, c, packed, err);
}

static int put(const h5ck_packer *self, uint64_t index, const void *data, size_t n, void **scratch, h5ckpt_error **err)
{
    const h5ck_fmt_hdf5_packed *p = (const h5ck_fmt_hdf5_packed *)self;
    unsigned char *padded = NULL;
    if (!*scratch && !(*scratch = h5ck_hdf5_tools_new()))
        return h5ck_fail_nomem(err);
    if (n < self->piece) {
        if (!(padded = calloc(1, self->piece)))
            return h5ck_fail_nomem(err);
        memcpy(padded, data, n);
    }
    int rc = pack_and_write(*scratch, p, index, padded ? padded : data, err);
    free(padded);
    return rc;
}

/* ---- Before and after ---- */

h5ck_fmt_hdf5_packs *h5ck_fmt_hdf5_packs_new(h5ck_plan *plan)
{
    h5ck_fmt_hdf5_packs *packs = h5ck_arena_zalloc(&plan->arena, 1, sizeof *packs);
    if (packs)
        packs->file = (h5ck_hdf5_file){.fd = -1, .id = -1, .driver = -1};
    return packs;
}

/* As the mover begins moves. Until then `first_turn` is the place among them. */
static int by_turn(const void *a, const void *b)
{
    const h5ck_fmt_hdf5_packed *x = *(h5ck_fmt_hdf5_packed *const *)a, *y = *(h5ck_fmt_hdf5_packed *const *)b;
    if (x->nbytes != y->nbytes)
        return x->nbytes < y->nbytes ? 1 : -1;
    return x->first_turn < y->first_turn ? -1 : x->first_turn > y->first_turn;
}

int h5ck_fmt_hdf5_packs_start(h5ck_fmt_hdf5_packs *packs, h5ck_plan *plan, h5ckpt_error **err)
{
    h5ck_fmt_hdf5_packed **sorted = calloc(packs->count + 1, sizeof *sorted);
    size_t n = 0;
    uint64_t turn = 0;
    if (!sorted)
        return h5ck_fail_nomem(err);
    for (h5ck_fmt_hdf5_packed *p = packs->first; p; p = p->next) {
        p->first_turn = n;
        sorted[n++] = p;
    }
    qsort(sorted, n, sizeof *sorted, by_turn);
    for (size_t i = 0; i < n; i++) {
        sorted[i]->first_turn = turn;
        turn += sorted[i]->count;
    }
    free(sorted);
    pthread_mutex_init(&packs->lock, NULL);
    pthread_cond_init(&packs->moved_on, NULL);
    packs->started = true;
    packs->plan = plan;
    packs->next = h5ck_hdf5_file_end(&packs->file);
    plan->free_scratch = free_tools;
    return 0;
}

void h5ck_fmt_hdf5_packs_end(h5ck_fmt_hdf5_packs *packs)
{
    if (!packs->started)
        return;
    for (size_t i = 0; i < H5CK_FMT_HDF5_HELD; i++)
        free(packs->held[i].bytes); /* of a move that failed */
    pthread_cond_destroy(&packs->moved_on);
    pthread_mutex_destroy(&packs->lock);
}

/* libhdf5 wants bytes to write, and its driver does not look at them. */
static int tell_chunks(h5ck_fmt_hdf5_packed *p, hid_t dataset, const void *bytes, h5ckpt_error **err)
{
    hsize_t start[H5CK_MAX_RANK];
    for (uint64_t i = 0; i < p->count; i++) {
        const h5ck_fmt_hdf5_chunk *c = &p->chunks[i];
        chunk_start(p, i, start);
        h5ck_hdf5_file_place(&p->all->file, c->at, c->size);
        herr_t told = H5Dwrite_chunk(dataset, H5P_DEFAULT, c->skipped, start, c->size, bytes);
        bool placed = h5ck_hdf5_file_placed(&p->all->file);
        h5ck_hdf5_file_place(&p->all->file, 0, 0);
        if (told < 0)
            return h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot store where a chunk is");
        if (!placed)
            return h5ck_fail(err, H5CKPT_SYSTEM, "libhdf5 put a chunk elsewhere than where it is");
    }
    return 0;
}

int h5ck_fmt_hdf5_packs_finish(h5ck_fmt_hdf5_packs *packs, h5ckpt_error **err)
{
    void *bytes = calloc(1, H5CK_COPY_SLAB);
    int rc = bytes ? 0 : h5ck_fail_nomem(err);
    h5ck_hdf5_file_reserve(&packs->file, packs->next);
    for (h5ck_fmt_hdf5_packed *p = packs->first; rc == 0 && p; p = p->next) {
        hid_t dataset = H5Oopen_by_addr(packs->file.id, p->address);
        rc = dataset < 0 ? h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot open a new dataset again")
                         : tell_chunks(p, dataset, bytes, err);
        h5ck_hdf5_close(dataset);
        if (rc)
            h5ck_err_where(err, rc, NULL, p->name);
    }
    free(bytes);
    return rc;
}
