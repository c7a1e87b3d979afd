/* python_library - which modules are Python's own. */
#ifndef H5CK_SCHEMA_PYTHON_LIBRARY_H
#define H5CK_SCHEMA_PYTHON_LIBRARY_H

#include <stdbool.h>

/* True where the first part of a dotted name is a module of Python's standard library (2.7 to 3.13). */
bool h5ck_python_has(const char *module);

#endif
