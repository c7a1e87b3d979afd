/*
 * pickle_read.c - the pickle machine: a stack, marks on it, a memo, and no recursion.
 *
 * The machine only builds a graph (pickle_graph.h). Opcodes that in Python would call something ask pickle_call.c,
 * which knows the few constructors that mean plain data and refuses all others by name. Every length and index of the
 * pickle is checked before it is used, and everything that grows is bounded by the limit of objects. The memo is an
 * array: writers number their objects from 0 or 1, so an index beyond the number of objects a pickle may have is none
 * of theirs.
 *
 * Which Python wrote it: only Python 2 writes STRING, BINSTRING and SHORT_BINSTRING, and only Python 2 writes LONG1 or
 * LONG4 for a number that fits 32 bits (of its type `long`; Python 3 has BININT for those, and Python 2 for its `int`,
 * with text INT where 32 bits are not enough). A pickle that shows one of these is Python 2's, and then all its LONG,
 * LONG1 and LONG4 are `long`. In any other they are Python 3's int; text LONG of a small number, too, which Python up
 * to 3.6 writes in protocol 0.
 */
#include "base/le.h"
#include "base/text.h"
#include "parse/pickle_graph.h"
#include "parse/pickle_text.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of integers beyond 64 bits that come as decimal text: converting takes the square of their length. */
enum { DECIMALS = 1 << 21, LONG_TEXT = 1 << 14 };

typedef struct machine {
    h5ck_pickle_graph *g;
    size_t len;
    size_t pos;                     /* behind the current item */
    uint32_t *stack, *marks, *memo; /* memo: node + 1, 0 where unset */
    size_t depth, stack_room, mark_count, mark_room, memo_room;
    uint32_t memoized; /* PUTs of all kinds so far: MEMOIZE's next index */
    size_t decimals;   /* bytes, see DECIMALS */
    bool stopped;
    h5ckpt_error **err;
} machine;

typedef int op_fn(machine *m, const h5ck_pickle_item *it);

/* ---- Growing things ---- */

static int too_many(const h5ck_pickle_graph *g, uint64_t at)
{
    return h5ck_fail_at(g->err, at, "expected at most %zu objects in a pickle, found more", g->limits.objects);
}

/* Of a whole state: an object for each byte of it, a value for each 2, and room for all its text. Real ones of Paddle need a
 * value for every 20 to 50 bytes that are not elements, those of PyTorch one for every 3: a tensor is a call of twenty-five
 * values, most of them shared, and an optimizer's groups list their parameters by number, 2 or 3 bytes each. */
h5ck_pickle_limits h5ck_pickle_limits_of(bool large, uint64_t len)
{
    h5ck_pickle_limits limits = {.values = H5CK_PICKLE_NODES, .bytes = H5CK_PICKLE_BYTES};
    if (large) {
        uint64_t most = UINT32_MAX / 4; /* node numbers, and a number + 1, are of 32 bits */
        limits.values += (size_t)(len / 2 < most ? len / 2 : most);
        limits.bytes += len < SIZE_MAX / 2 ? (size_t)len : SIZE_MAX / 2;
    }
    limits.objects = 2 * limits.values;
    return limits;
}

/* Room for another chunk of nodes. */
static int add_chunk(h5ck_pickle_graph *g)
{
    size_t chunk = g->count / H5CK_PICKLE_CHUNK;
    if (chunk == g->chunk_room) {
        size_t more = g->chunk_room ? 2 * g->chunk_room : 16;
        h5ck_pickle_node **grown = realloc(g->chunks, more * sizeof *grown);
        if (!grown)
            return h5ck_fail_nomem(g->err);
        g->chunks = grown;
        g->chunk_room = more;
    }
    g->chunks[chunk] = h5ck_arena_alloc(&g->arena, H5CK_PICKLE_CHUNK * sizeof **g->chunks);
    return g->chunks[chunk] ? 0 : h5ck_fail_nomem(g->err);
}

int h5ck_pickle_add(h5ck_pickle_graph *g, h5ck_pickle_kind kind, uint64_t at, uint32_t *index)
{
    if (g->count >= g->limits.objects)
        return too_many(g, at);
    int rc = g->count % H5CK_PICKLE_CHUNK == 0 ? add_chunk(g) : 0;
    if (rc)
        return rc;
    *index = g->count++;
    *h5ck_pickle_at(g, *index) = (h5ck_pickle_node){.at = at, .kind = (unsigned char)kind};
    return 0;
}

/* Makes room for element `index` of an array of at most as many elements as objects; new elements are 0. */
static int make_room(machine *m, uint64_t at, uint32_t **array, size_t *room, size_t index)
{
    if (index < *room)
        return 0;
    if (index >= m->g->limits.objects)
        return too_many(m->g, at);
    size_t more = *room ? *room : 64;
    while (more <= index)
        more *= 2;
    uint32_t *grown = realloc(*array, more * sizeof *grown);
    if (!grown)
        return h5ck_fail_nomem(m->err);
    memset(grown + *room, 0, (more - *room) * sizeof *grown);
    *array = grown;
    *room = more;
    return 0;
}

/* Appends to a list or dict. Arrays double in the arena, so that all of them together stay below twice their items. */
static int add_items(machine *m, uint64_t at, h5ck_pickle_node *n, const uint32_t *items, size_t count)
{
    h5ck_pickle_graph *g = m->g;
    if (count > g->limits.objects - g->items)
        return too_many(g, at);
    g->items += (uint32_t)count;
    size_t need = n->count + count, room = 1, old_room = 1;
    while (room < need)
        room *= 2;
    while (old_room < n->count)
        old_room *= 2;
    if (need && (n->count == 0 || room > old_room)) {
        uint32_t *grown = h5ck_arena_alloc(&g->arena, room * sizeof *grown);
        if (!grown)
            return h5ck_fail_nomem(m->err);
        if (n->count)
            memcpy(grown, n->u.items, n->count * sizeof *grown);
        n->u.items = grown;
    }
    if (count)
        memcpy(n->u.items + n->count, items, count * sizeof *items);
    n->count = need;
    return 0;
}

/* ---- The stack ---- */

static int push(machine *m, const h5ck_pickle_item *it, uint32_t node)
{
    int rc = make_room(m, it->at, &m->stack, &m->stack_room, m->depth);
    if (rc == 0)
        m->stack[m->depth++] = node;
    return rc;
}

/* The stack below the last mark is out of reach. */
static size_t floor_of(const machine *m)
{
    return m->mark_count ? m->marks[m->mark_count - 1] : 0;
}

/* Checks that the stack has `count` values above the last mark. */
static int need(machine *m, const h5ck_pickle_item *it, size_t count)
{
    size_t have = m->depth - floor_of(m);
    if (have >= count)
        return 0;
    return h5ck_fail_at(m->err, it->at, "expected %zu value%s on the stack for %s, found %zu", count,
                        count == 1 ? "" : "s", it->op->name, have);
}

/* Takes the last mark away; the values above it are *items. */
static int pop_mark(machine *m, const h5ck_pickle_item *it, const uint32_t **items, size_t *count)
{
    *items = NULL;
    *count = 0;
    if (m->mark_count == 0)
        return h5ck_fail_at(m->err, it->at, "expected a MARK for %s, found none", it->op->name);
    size_t mark = m->marks[--m->mark_count];
    *count = m->depth - mark;
    if (*count)
        *items = m->stack + mark;
    m->depth = mark;
    return 0;
}

static h5ck_pickle_node *top(const machine *m)
{
    return h5ck_pickle_at(m->g, m->stack[m->depth - 1]);
}

/* Pushes a new node; NULL with *rc where that failed. */
static h5ck_pickle_node *push_new(machine *m, const h5ck_pickle_item *it, h5ck_pickle_kind kind, int *rc)
{
    uint32_t index;
    *rc = h5ck_pickle_add(m->g, kind, it->at, &index);
    if (*rc == 0)
        *rc = push(m, it, index);
    return *rc ? NULL : h5ck_pickle_at(m->g, index);
}

static int op_mark(machine *m, const h5ck_pickle_item *it)
{
    int rc = make_room(m, it->at, &m->marks, &m->mark_room, m->mark_count);
    if (rc == 0)
        m->marks[m->mark_count++] = (uint32_t)m->depth;
    return rc;
}

/* POP takes a mark where that is what is on top. */
static int op_pop(machine *m, const h5ck_pickle_item *it)
{
    if (m->mark_count && m->marks[m->mark_count - 1] == m->depth) {
        m->mark_count--;
        return 0;
    }
    int rc = need(m, it, 1);
    if (rc == 0)
        m->depth--;
    return rc;
}

static int op_pop_mark(machine *m, const h5ck_pickle_item *it)
{
    const uint32_t *items;
    size_t count;
    return pop_mark(m, it, &items, &count);
}

static int op_dup(machine *m, const h5ck_pickle_item *it)
{
    int rc = need(m, it, 1);
    return rc ? rc : push(m, it, m->stack[m->depth - 1]);
}

/* ---- Numbers ---- */

static int op_none(machine *m, const h5ck_pickle_item *it)
{
    return push(m, it, H5CK_NODE_AT_NONE);
}

static int op_true(machine *m, const h5ck_pickle_item *it)
{
    return push(m, it, H5CK_NODE_AT_TRUE);
}

static int op_false(machine *m, const h5ck_pickle_item *it)
{
    return push(m, it, H5CK_NODE_AT_FALSE);
}

static int op_binint(machine *m, const h5ck_pickle_item *it)
{
    int rc;
    h5ck_pickle_node *n = push_new(m, it, H5CK_NODE_INT, &rc);
    if (n)
        n->u.i = (int64_t)it->number;
    return rc;
}

/* A number of trimmed two's complement bytes that stay where they are. */
static int push_int(machine *m, const h5ck_pickle_item *it, const unsigned char *bytes, size_t len, unsigned flags)
{
    int rc;
    h5ck_pickle_node *n = push_new(m, it, len > 8 ? H5CK_NODE_BIGINT : H5CK_NODE_INT, &rc);
    if (!n)
        return rc;
    n->flags = (unsigned short)flags;
    n->count = len;
    if (len > 8)
        n->u.data = bytes;
    else
        n->u.i = h5ck_pickle_int64(bytes, len);
    return 0;
}

/* INT and LONG: decimal text. "00" and "01" of INT are the bools of protocols 0 and 1; LONG may end in Python 2's L. */
static int op_decimal(machine *m, const h5ck_pickle_item *it)
{
    unsigned char bytes[H5CK_PICKLE_BIGINT];
    bool is_long = it->code == 'L';
    if (!is_long && it->len == 2 && it->data[0] == '0' && (it->data[1] == '0' || it->data[1] == '1'))
        return push(m, it, it->data[1] == '1' ? H5CK_NODE_AT_TRUE : H5CK_NODE_AT_FALSE);
    size_t digits = is_long && it->len && it->data[it->len - 1] == 'L' ? it->len - 1 : it->len;
    size_t len = h5ck_pickle_decimal(it->data, digits, bytes);
    char shown[40];
    if (len == SIZE_MAX)
        return h5ck_fail_at(m->err, it->at, "expected a decimal number of at most %d digits behind %s, found '%s'",
                            (int)H5CK_PICKLE_DIGITS, it->op->name,
                            h5ck_pickle_shown(it->data, it->len, shown, sizeof shown));
    m->decimals += len > 8 ? len : 0;
    if (m->decimals > DECIMALS)
        return h5ck_fail_at(m->err, it->at,
                            "expected at most %d bytes of large decimal numbers in a pickle, found more",
                            (int)DECIMALS);
    const unsigned char *kept = len > 8 ? h5ck_arena_memdup(&m->g->arena, bytes, len) : bytes;
    if (!kept)
        return h5ck_fail_nomem(m->err);
    return push_int(m, it, kept, len, is_long ? H5CK_NODE_LONG : 0);
}

/* LONG1 and LONG4 */
static int op_long(machine *m, const h5ck_pickle_item *it)
{
    size_t len = h5ck_pickle_trim(it->data, it->len);
    if (len <= 4)
        m->g->python2 = true;
    return push_int(m, it, it->data, len, H5CK_NODE_LONG);
}

static int op_float(machine *m, const h5ck_pickle_item *it)
{
    double value = h5ck_f64_from_bits(it->number);
    char shown[40];
    if (it->code == 'F' && !h5ck_pickle_float(it->data, it->len, &value))
        return h5ck_fail_at(m->err, it->at, "expected a number behind FLOAT, found '%s'",
                            h5ck_pickle_shown(it->data, it->len, shown, sizeof shown));
    int rc;
    h5ck_pickle_node *n = push_new(m, it, H5CK_NODE_FLOAT, &rc);
    if (n)
        n->u.f = value;
    return rc;
}

/* ---- Strings: the bytes stay where they are until a value needs them ---- */

static int push_data(machine *m, const h5ck_pickle_item *it, h5ck_pickle_kind kind)
{
    int rc;
    h5ck_pickle_node *n = push_new(m, it, kind, &rc);
    if (n) {
        n->u.data = it->data;
        n->count = it->len;
    }
    return rc;
}

static int op_text(machine *m, const h5ck_pickle_item *it)
{
    /* A long text may be an array's elements, which are read only once, by who takes them. */
    bool later = it->len > LONG_TEXT && m->g->policy && m->g->policy->take_array;
    if (!later && !h5ck_text_is_utf8_with_zeros((const char *)it->data, it->len))
        return h5ck_fail_at(m->err, it->at, "expected UTF-8 (without surrogates) behind %s, found other bytes",
                            it->op->name);
    int rc = push_data(m, it, H5CK_NODE_TEXT);
    if (rc == 0 && later)
        top(m)->flags |= H5CK_NODE_UNCHECKED;
    return rc;
}

static int op_text_raw(machine *m, const h5ck_pickle_item *it)
{
    if (h5ck_pickle_raw_escape(it->data, it->len, NULL) == SIZE_MAX)
        return h5ck_fail_at(m->err, it->at,
                            "expected escapes of four or eight hexadecimal digits (no surrogates) behind UNICODE");
    return push_data(m, it, H5CK_NODE_TEXT_RAW);
}

static int op_str2(machine *m, const h5ck_pickle_item *it)
{
    m->g->python2 = true;
    return push_data(m, it, H5CK_NODE_STR2);
}

static int op_str2_quote(machine *m, const h5ck_pickle_item *it)
{
    char shown[40];
    m->g->python2 = true;
    if (h5ck_pickle_unquote(it->data, it->len, NULL) == SIZE_MAX)
        return h5ck_fail_at(m->err, it->at, "expected a quoted string behind STRING, found %s",
                            h5ck_pickle_shown(it->data, it->len, shown, sizeof shown));
    return push_data(m, it, H5CK_NODE_STR2_QUOTE);
}

static int op_bytes(machine *m, const h5ck_pickle_item *it)
{
    return push_data(m, it, H5CK_NODE_BYTES);
}

static int op_bytearray(machine *m, const h5ck_pickle_item *it)
{
    return push_data(m, it, H5CK_NODE_BYTEARRAY);
}

/* ---- Tuples, lists, dicts ---- */

/* Replaces `count` values on top by a container of them. */
static int gather(machine *m, const h5ck_pickle_item *it, h5ck_pickle_kind kind, size_t count)
{
    uint32_t index;
    int rc = h5ck_pickle_add(m->g, kind, it->at, &index);
    if (rc == 0 && count)
        rc = add_items(m, it->at, h5ck_pickle_at(m->g, index), m->stack + m->depth - count, count);
    if (rc)
        return rc;
    m->depth -= count;
    return push(m, it, index);
}

static int op_empty_tuple(machine *m, const h5ck_pickle_item *it)
{
    return push(m, it, H5CK_NODE_AT_EMPTY_TUPLE);
}

static int op_small_tuple(machine *m, const h5ck_pickle_item *it)
{
    size_t count = (size_t)it->code - 0x85 + 1;
    int rc = need(m, it, count);
    return rc ? rc : gather(m, it, H5CK_NODE_TUPLE, count);
}

static int odd(machine *m, const h5ck_pickle_item *it)
{
    return h5ck_fail_at(m->err, it->at, "expected a value for each key of %s, found an odd number of both",
                        it->op->name);
}

/* TUPLE, LIST, DICT: all above the mark */
static int op_marked(machine *m, const h5ck_pickle_item *it)
{
    const uint32_t *items;
    size_t count;
    int rc = pop_mark(m, it, &items, &count);
    if (rc)
        return rc;
    if (it->code == 'd' && count % 2)
        return odd(m, it);
    m->depth += count;
    return gather(m, it, it->code == 't' ? H5CK_NODE_TUPLE : it->code == 'l' ? H5CK_NODE_LIST : H5CK_NODE_DICT, count);
}

static int op_empty(machine *m, const h5ck_pickle_item *it)
{
    return gather(m, it, it->code == ']' ? H5CK_NODE_LIST : H5CK_NODE_DICT, 0);
}

/* Puts `count` items into the container below them. */
static int extend(machine *m, const h5ck_pickle_item *it, h5ck_pickle_kind kind, const uint32_t *items, size_t count)
{
    uint32_t index;
    int rc = h5ck_pickle_fillable(m->g, it->at, kind, m->stack[m->depth - 1], &index);
    if (rc)
        return rc;
    h5ck_pickle_node *n = h5ck_pickle_at(m->g, index);
    if (n->kind != kind)
        return h5ck_fail_at(m->err, it->at, "expected a %s for %s, found %s", kind == H5CK_NODE_LIST ? "list" : "dict",
                            it->op->name, h5ck_pickle_kind_name(n));
    if (n->flags & H5CK_NODE_FROZEN)
        return h5ck_fail_at(m->err, it->at,
                            "expected a dict of its own for %s, found one that became an object's fields",
                            it->op->name);
    return add_items(m, it->at, n, items, count);
}

/* APPEND, SETITEM */
static int op_put_one(machine *m, const h5ck_pickle_item *it)
{
    size_t count = it->code == 'a' ? 1 : 2;
    int rc = need(m, it, count + 1);
    if (rc)
        return rc;
    m->depth -= count;
    return extend(m, it, it->code == 'a' ? H5CK_NODE_LIST : H5CK_NODE_DICT, m->stack + m->depth, count);
}

/* APPENDS, SETITEMS */
static int op_put_many(machine *m, const h5ck_pickle_item *it)
{
    const uint32_t *items;
    size_t count;
    int rc = pop_mark(m, it, &items, &count);
    if (rc == 0)
        rc = need(m, it, 1);
    if (rc)
        return rc;
    if (it->code == 'u' && count % 2)
        return odd(m, it);
    return extend(m, it, it->code == 'e' ? H5CK_NODE_LIST : H5CK_NODE_DICT, items, count);
}

/* ---- The memo ---- */

/* The index of GET, BINGET, LONG_BINGET and their PUTs. */
static int memo_index(machine *m, const h5ck_pickle_item *it, uint64_t *index)
{
    char shown[40];
    *index = it->number;
    if (it->op->form != H5CK_PICKLE_LINE)
        return 0;
    for (size_t i = 0; i < it->len; i++) {
        if (it->data[i] < '0' || it->data[i] > '9' || *index > UINT32_MAX)
            goto bad;
        *index = *index * 10 + (it->data[i] - '0');
    }
    if (it->len)
        return 0;
bad:
    return h5ck_fail_at(m->err, it->at, "expected a memo index behind %s, found '%s'", it->op->name,
                        h5ck_pickle_shown(it->data, it->len, shown, sizeof shown));
}

static int op_get(machine *m, const h5ck_pickle_item *it)
{
    uint64_t index;
    int rc = memo_index(m, it, &index);
    if (rc)
        return rc;
    if (index >= m->memo_room || m->memo[index] == 0)
        return h5ck_fail_at(m->err, it->at, "expected a memo index that was set, found %llu",
                            (unsigned long long)index);
    return push(m, it, m->memo[index] - 1);
}

static int op_put(machine *m, const h5ck_pickle_item *it)
{
    uint64_t index = m->memoized;
    int rc = it->code == 0x94 ? 0 : memo_index(m, it, &index);
    if (rc == 0)
        rc = need(m, it, 1);
    if (rc)
        return rc;
    if (index >= m->g->limits.objects)
        return h5ck_fail_at(m->err, it->at, "expected a memo index below %zu, found %llu", m->g->limits.objects,
                            (unsigned long long)index);
    rc = make_room(m, it->at, &m->memo, &m->memo_room, (size_t)index);
    if (rc)
        return rc;
    m->memoized += m->memo[index] == 0;
    m->memo[index] = m->stack[m->depth - 1] + 1;
    return 0;
}

/* ---- Framing ---- */

static int op_proto(machine *m, const h5ck_pickle_item *it)
{
    if (it->at != 0)
        return h5ck_fail_at(m->err, it->at, "expected PROTO at the beginning only");
    if (it->number > 5)
        return h5ck_fail_at(m->err, it->at, "expected a pickle protocol from 0 to 5, found %u", (unsigned)it->number);
    return 0;
}

static int op_frame(machine *m, const h5ck_pickle_item *it)
{
    if (it->number > m->len - m->pos)
        return h5ck_fail_at(m->err, it->at, "expected a FRAME of %llu bytes, found %zu", (unsigned long long)it->number,
                            m->len - m->pos);
    return 0;
}

static int op_stop(machine *m, const h5ck_pickle_item *it)
{
    int rc = need(m, it, 1);
    if (rc)
        return rc;
    if (m->depth != 1 || m->mark_count)
        return h5ck_fail_at(m->err, it->at, "expected one value on the stack at STOP, found %zu and %zu marks",
                            m->depth, m->mark_count);
    if (m->pos != m->len)
        return h5ck_fail_at(m->err, m->pos, "expected the end behind STOP, found %zu more bytes", m->len - m->pos);
    m->stopped = true;
    return 0;
}

/* ---- What would call something (pickle_call.c) ---- */

static int op_global(machine *m, const h5ck_pickle_item *it)
{
    uint32_t module, name, index;
    h5ck_pickle_item line = *it;
    int rc = op_text(m, &line);
    if (rc)
        return rc;
    line.data = it->data2;
    line.len = it->len2;
    rc = op_text(m, &line);
    if (rc)
        return rc;
    name = m->stack[--m->depth];
    module = m->stack[--m->depth];
    rc = h5ck_pickle_global(m->g, it->at, module, name, &index);
    return rc ? rc : push(m, it, index);
}

typedef int pair_fn(h5ck_pickle_graph *g, uint64_t at, uint32_t a, uint32_t b, uint32_t *index);

/* Replaces the two values on top by what `fn` makes of them. */
static int pair(machine *m, const h5ck_pickle_item *it, pair_fn *fn)
{
    uint32_t index;
    int rc = need(m, it, 2);
    if (rc)
        return rc;
    m->depth -= 2;
    rc = fn(m->g, it->at, m->stack[m->depth], m->stack[m->depth + 1], &index);
    return rc ? rc : push(m, it, index);
}

static int op_stack_global(machine *m, const h5ck_pickle_item *it)
{
    return pair(m, it, h5ck_pickle_global);
}

static int op_reduce(machine *m, const h5ck_pickle_item *it)
{
    return pair(m, it, h5ck_pickle_reduce);
}

static int op_newobj(machine *m, const h5ck_pickle_item *it)
{
    return pair(m, it, h5ck_pickle_newobj);
}

static int op_newobj_ex(machine *m, const h5ck_pickle_item *it)
{
    int rc = need(m, it, 3);
    if (rc)
        return rc;
    h5ck_pickle_node *keywords = top(m);
    if (keywords->kind != H5CK_NODE_DICT || keywords->count)
        return h5ck_fail_at(m->err, it->at, "expected an object made without keywords, found NEWOBJ_EX with some");
    keywords->flags |= H5CK_NODE_FROZEN;
    m->depth--;
    return pair(m, it, h5ck_pickle_newobj);
}

static int op_build(machine *m, const h5ck_pickle_item *it)
{
    int rc = need(m, it, 2);
    if (rc)
        return rc;
    m->depth--;
    return h5ck_pickle_set_state(m->g, it->at, m->stack[m->depth - 1], m->stack[m->depth]);
}

/* PERSID, BINPERSID: a name for something outside of the pickle. The caller's policy says whether there may be any. */
static int op_persid(machine *m, const h5ck_pickle_item *it)
{
    int rc;
    if (!m->g->policy || !m->g->policy->persistent)
        return h5ck_fail_at(m->err, it->at, "expected plain data, found %s: a persistent id", it->op->name);
    if (it->code == 'P') {
        rc = op_text(m, it);
    } else {
        rc = need(m, it, 1);
    }
    if (rc)
        return rc;
    uint32_t id = m->stack[--m->depth];
    h5ck_pickle_node *n = push_new(m, it, H5CK_NODE_PERSID, &rc);
    if (n)
        n->u.ref.a = id;
    return rc;
}

/* By opcode. Those without one are refused by the table in pickle_ops.c. */
static op_fn *const handlers[256] = {
    ['('] = op_mark,         ['.'] = op_stop,         ['0'] = op_pop,           ['1'] = op_pop_mark,
    ['2'] = op_dup,          ['N'] = op_none,         [0x88] = op_true,         [0x89] = op_false,
    ['J'] = op_binint,       ['K'] = op_binint,       ['M'] = op_binint,        ['I'] = op_decimal,
    ['L'] = op_decimal,      [0x8a] = op_long,        [0x8b] = op_long,         ['F'] = op_float,
    ['G'] = op_float,        ['X'] = op_text,         [0x8c] = op_text,         [0x8d] = op_text,
    ['V'] = op_text_raw,     ['T'] = op_str2,         ['U'] = op_str2,          ['S'] = op_str2_quote,
    ['B'] = op_bytes,        ['C'] = op_bytes,        [0x8e] = op_bytes,        [')'] = op_empty_tuple,
    [0x85] = op_small_tuple, [0x86] = op_small_tuple, [0x87] = op_small_tuple,  ['t'] = op_marked,
    ['l'] = op_marked,       ['d'] = op_marked,       [']'] = op_empty,         ['}'] = op_empty,
    ['a'] = op_put_one,      ['s'] = op_put_one,      ['e'] = op_put_many,      ['u'] = op_put_many,
    ['g'] = op_get,          ['h'] = op_get,          ['j'] = op_get,           ['p'] = op_put,
    ['q'] = op_put,          ['r'] = op_put,          [0x94] = op_put,          [0x80] = op_proto,
    [0x95] = op_frame,       ['c'] = op_global,       [0x93] = op_stack_global, ['R'] = op_reduce,
    [0x81] = op_newobj,      [0x92] = op_newobj_ex,   ['b'] = op_build,         ['P'] = op_persid,
    ['Q'] = op_persid,       [0x96] = op_bytearray,
};

/* The nodes that every graph begins with: constants are one node each, however often they come. */
static int add_constants(h5ck_pickle_graph *g)
{
    uint32_t none, no, yes, tuple;
    int rc = h5ck_pickle_add(g, H5CK_NODE_NONE, 0, &none);
    if (rc == 0)
        rc = h5ck_pickle_add(g, H5CK_NODE_BOOL, 0, &no);
    if (rc == 0)
        rc = h5ck_pickle_add(g, H5CK_NODE_BOOL, 0, &yes);
    if (rc == 0)
        rc = h5ck_pickle_add(g, H5CK_NODE_TUPLE, 0, &tuple);
    if (rc == 0)
        h5ck_pickle_at(g, H5CK_NODE_AT_TRUE)->u.i = 1;
    return rc;
}

/* Runs the pickle to its STOP; the number of its value in *root. */
static int run(h5ck_pickle_graph *g, const unsigned char *data, size_t len, uint32_t *root)
{
    machine m = {.g = g, .len = len, .err = g->err};
    int rc = add_constants(g);
    while (rc == 0 && !m.stopped) {
        h5ck_pickle_item it;
        rc = h5ck_pickle_next(data, len, &m.pos, &it, m.err);
        if (rc == 0 && it.op->refused)
            rc = h5ck_fail_at(m.err, it.at, "expected plain data, found %s: %s", it.op->name, it.op->refused);
        if (rc == 0)
            rc = handlers[it.code](&m, &it);
    }
    if (rc == 0)
        *root = m.stack[0];
    free(m.stack);
    free(m.marks);
    free(m.memo);
    return rc;
}

const char *h5ck_pickle_kind_name(const h5ck_pickle_node *n)
{
    switch ((h5ck_pickle_kind)n->kind) {
    case H5CK_NODE_NONE:
        return "None";
    case H5CK_NODE_BOOL:
        return "a bool";
    case H5CK_NODE_INT:
    case H5CK_NODE_BIGINT:
        return "an int";
    case H5CK_NODE_FLOAT:
        return "a float";
    case H5CK_NODE_TEXT:
    case H5CK_NODE_TEXT_RAW:
    case H5CK_NODE_STR2:
    case H5CK_NODE_STR2_QUOTE:
        return "a str";
    case H5CK_NODE_BYTES:
    case H5CK_NODE_ENCODE:
        return "bytes";
    case H5CK_NODE_TUPLE:
        return "a tuple";
    case H5CK_NODE_LIST:
        return "a list";
    case H5CK_NODE_DICT:
        return "a dict";
    case H5CK_NODE_GLOBAL:
        return "a global";
    case H5CK_NODE_INSTANCE:
    case H5CK_NODE_CALL:
        return "an object";
    case H5CK_NODE_PERSID:
        return "a persistent id";
    case H5CK_NODE_BYTEARRAY:
        return "a bytearray";
    case H5CK_NODE_DTYPE:
        return "a NumPy dtype";
    case H5CK_NODE_SCALAR:
        return "a NumPy scalar";
    case H5CK_NODE_ARRAY:
        return "a NumPy array";
    }
    return "something unknown";
}

int h5ck_pickle_read(const unsigned char *data, size_t len, const h5ck_pickle_policy *policy, h5ck_arena *arena,
                     h5ckpt_value *value, h5ckpt_error **err)
{
    uint32_t root = 0;
    h5ck_pickle_graph g = {.err = err, .policy = policy, .limits = h5ck_pickle_limits_of(policy && policy->large, len)};
    int rc = run(&g, data, len, &root);
    if (rc == 0) {
        h5ck_pickle_build b = {.g = &g, .policy = policy, .arena = arena, .err = err};
        rc = h5ck_pickle_make(&b, root, value);
    }
    free(g.chunks);
    h5ck_arena_free(&g.arena);
    return rc;
}
