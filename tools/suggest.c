/*
 * suggest - see suggest.h. A name is like another where few edits lie between them (Levenshtein's distance, at most a
 * third of the length), or where one holds the other: "FC_0.w_0" finds "mlp/MLP_0/FC_0.w_0".
 */
#include "suggest.h"

#include <string.h>
#include <strings.h>

enum { LONGEST = 128, NO_MATCH = 1000 };

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edits from a to b, case apart; NO_MATCH once there are more than `most`. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len, unsigned most)
{
    unsigned row[LONGEST + 1];
    if (a_len > LONGEST || b_len > LONGEST || (a_len > b_len ? a_len - b_len : b_len - a_len) > most)
        return NO_MATCH;
    for (size_t k = 0; k <= b_len; k++)
        row[k] = (unsigned)k;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0], best = row[0] = (unsigned)i;
        for (size_t k = 1; k <= b_len; k++) {
            unsigned same = diagonal + (strncasecmp(&a[i - 1], &b[k - 1], 1) != 0);
            diagonal = row[k];
            row[k] = smaller(same, smaller(row[k], row[k - 1]) + 1);
            best = smaller(best, row[k]);
        }
        if (best > most)
            return NO_MATCH;
    }
    return row[b_len];
}

static unsigned score(const char *wanted, const char *name)
{
    size_t a = strlen(wanted), b = strlen(name);
    unsigned most = (unsigned)smaller(4, (unsigned)(a < 12 ? a / 3 : 4));
    unsigned d = distance(wanted, a, name, b, most);
    if (d <= most)
        return d;
    if (a >= 2 && strcasestr(name, wanted))
        return 10;
    return b >= 2 && strcasestr(wanted, name) ? 11 : NO_MATCH;
}

void suggest_consider(suggestions *s, const char *name)
{
    unsigned points = score(s->wanted, name);
    if (points == NO_MATCH)
        return;
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->names[i], name) == 0) /* in two dictionaries */
            return;
    size_t at = s->count;
    while (at > 0 && s->scores[at - 1] > points)
        at--;
    if (at == SUGGEST_MOST)
        return;
    s->count += s->count < SUGGEST_MOST;
    for (size_t i = s->count - 1; i > at; i--) {
        s->names[i] = s->names[i - 1];
        s->scores[i] = s->scores[i - 1];
    }
    s->names[at] = name;
    s->scores[at] = points;
}
