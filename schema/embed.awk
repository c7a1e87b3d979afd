# embed.awk - schema/*.yaml -> schema_builtin.c, so that the library needs no file beside it.
#
#     awk -f schema/embed.awk schema/paddle.yaml schema/names/*.yaml > schema_builtin.c
#
# Each text becomes an array of bytes (a string literal of this length is more than C11 promises), and the table
# h5ck_schema_builtins (schema/builtin.h) names it after its file, and says by its first keys what it is: a line that begins
# with `names:` makes it name rules, and `doc: "..."` is its one line. Any POSIX awk will do. Some awks count bytes, others
# characters of the locale's UTF-8: the texts come out the same.

BEGIN {
    bytewise = length("\303\251") == 2 # an e with an acute accent: two bytes, one character
    known = 0
    learn(256)
    print "/* Made by schema/embed.awk from the files in schema/: do not edit. */"
    print "#include \"schema/builtin.h\""
    print ""
    print "#include <stddef.h>"
}

# Remembers the numbers of all characters below `end`.
function learn(end) {
    for (; known < end; known++)
        if (known > 0 && (known < 55296 || known > 57343))
            number[sprintf("%c", known)] = known
}

# The number of a character. Those beyond ASCII are learnt when the first of them turns up.
function number_of(c) {
    if (!(c in number) && !bytewise)
        learn(65536)
    if (!(c in number) && !bytewise)
        learn(1114112)
    return number[c]
}

function byte(n) {
    line = line (line == "" ? "   " : "") " " n ","
    size++
    if (length(line) > 110) {
        print line
        line = ""
    }
}

function character(n) {
    if (bytewise || n < 128) {
        byte(n)
    } else if (n < 2048) {
        byte(192 + int(n / 64))
        byte(128 + n % 64)
    } else if (n < 65536) {
        byte(224 + int(n / 4096))
        byte(128 + int(n / 64) % 64)
        byte(128 + n % 64)
    } else {
        byte(240 + int(n / 262144))
        byte(128 + int(n / 4096) % 64)
        byte(128 + int(n / 64) % 64)
        byte(128 + n % 64)
    }
}

function finish() {
    if (texts == 0)
        return
    byte(0)
    print line
    print "};"
    line = ""
    sizes[texts] = size - 1
}

FNR == 1 {
    finish()
    size = 0
    name = FILENAME
    sub(/.*\//, "", name)
    sub(/\.yaml$/, "", name)
    names[++texts] = name
    docs[texts] = "NULL"
    rules[texts] = 0
    print ""
    print "static const unsigned char text_" texts "[] = {"
}

/^names:/ { rules[texts] = 1 }

/^doc: "[^"\\]*"$/ { docs[texts] = substr($0, 6) }

{
    n = length($0)
    for (i = 1; i <= n; i++)
        character(number_of(substr($0, i, 1)))
    byte(10)
}

END {
    finish()
    print ""
    print "const h5ck_schema_builtin_row h5ck_schema_builtins[] = {"
    for (i = 1; i <= texts; i++)
        print "    {{\"" names[i] "\", " docs[i] ", " rules[i] "}, (const char *)text_" i ", " sizes[i] "},"
    print "    {{NULL, NULL, 0}, NULL, 0},"
    print "};"
}
