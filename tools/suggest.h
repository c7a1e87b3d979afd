/* suggest - names like one that is not there. */
#ifndef H5CKPT_TOOLS_SUGGEST_H
#define H5CKPT_TOOLS_SUGGEST_H

#include <h5ckpt.h>

enum { SUGGEST_MOST = 3 };

typedef struct suggestions {
    const char *wanted;
    size_t count;
    const char *names[SUGGEST_MOST]; /* best first; borrowed from the state */
    unsigned scores[SUGGEST_MOST];
} suggestions;

/* Considers one name. */
void suggest_consider(suggestions *s, const char *name);

#endif
