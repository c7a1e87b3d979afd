/* test_json.c - JSON text: the tokens of golden texts, one wrong text a rule, and values that come back as they were. */
#include "base/arena.h"
#include "base/le.h"
#include "model/value.h"
#include "parse/json.h"
#include "parse/value_json.h"
#include "test.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Tokens ---- */

/* All tokens as one line: "{ 'a'= 1 }". NULL for a text that is refused; *err says why. */
static const char *tokens_of(const char *text, size_t len, h5ck_buf *out, h5ckpt_error **err)
{
    static const char *const marks[] = {"", "{", "[", "^", "", "", "", "", "", "true", "false", "null"};
    h5ck_json j;
    h5ck_json_token t = {.kind = H5CK_JSON_NULL};
    int rc = 0;
    out->len = 0;
    h5ck_json_begin(&j, text, len, 100);
    while (rc == 0 && t.kind != H5CK_JSON_END && (rc = h5ck_json_next(&j, &t, err)) == 0) {
        h5ck_buf_str(out, out->len && t.kind != H5CK_JSON_END ? " " : "");
        h5ck_buf_str(out, marks[t.kind]);
        if (t.kind == H5CK_JSON_KEY || t.kind == H5CK_JSON_STRING) {
            h5ck_buf_u8(out, '\'');
            h5ck_buf_add(out, t.str, t.len);
            h5ck_buf_str(out, t.kind == H5CK_JSON_KEY ? "'=" : "'");
        } else if (t.kind == H5CK_JSON_INT) {
            h5ck_buf_printf(out, "%" PRId64, t.i);
        } else if (t.kind == H5CK_JSON_UINT) {
            h5ck_buf_printf(out, "u%" PRIu64, t.u);
        } else if (t.kind == H5CK_JSON_DOUBLE) {
            h5ck_buf_printf(out, "%a", t.d);
        }
    }
    h5ck_json_end(&j);
    return rc ? NULL : h5ck_buf_cstr(out);
}

static void reads(const char *text, const char *expected)
{
    h5ck_buf out = H5CK_BUF_INIT;
    h5ckpt_error *err = NULL;
    char *exact = malloc(strlen(text) ? strlen(text) : 1); /* no zero behind it: an overrun shows */
    memcpy(exact, text, strlen(text));
    const char *found = tokens_of(exact, strlen(text), &out, &err);
    test_expect_none(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_STRING_EQUAL(found, expected);
    h5ck_buf_free(&out);
    free(exact);
}

static void refuses_bytes(const char *text, size_t len, const char *why)
{
    h5ck_buf out = H5CK_BUF_INIT;
    h5ckpt_error *err = NULL;
    char *exact = malloc(len ? len : 1);
    memcpy(exact, text, len);
    CU_ASSERT_PTR_NULL(tokens_of(exact, len, &out, &err));
    test_expect_error(&err, H5CKPT_INVALID, why);
    h5ck_buf_free(&out);
    free(exact);
}

static void refuses(const char *text, const char *why)
{
    refuses_bytes(text, strlen(text), why);
}

static void tokens_come_in_order(void)
{
    reads("{}", "{ ^");
    reads("[]", "[ ^");
    reads(" \t\r\n[ 1 , [ ] , { \"a\" : { } , \"b\" : [ true , false , null ] } ]\n ",
          "[ 1 [ ^ { 'a'= { ^ 'b'= [ true false null ^ ^ ^");
    reads("\"alone\"", "'alone'");
    reads("{\"a\":\"x\",\"a\":\"y\"}", "{ 'a'= 'x' 'a'= 'y' ^"); /* a second key is the caller's to refuse */
}

static void every_token_says_where_it_stands(void)
{
    static const char text[] = " {\"key\" : [12, \"\\n\"]}";
    static const struct {
        h5ck_json_kind kind;
        size_t begin, end;
    } expected[] = {{H5CK_JSON_OBJECT, 1, 2},  {H5CK_JSON_KEY, 2, 7},      {H5CK_JSON_ARRAY, 10, 11},
                    {H5CK_JSON_INT, 11, 13},   {H5CK_JSON_STRING, 15, 19}, {H5CK_JSON_CLOSE, 19, 20},
                    {H5CK_JSON_CLOSE, 20, 21}, {H5CK_JSON_END, 21, 21}};
    h5ck_json j;
    h5ck_json_token t;
    h5ck_json_begin(&j, text, strlen(text), 0);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        CU_ASSERT_EQUAL(h5ck_json_next(&j, &t, NULL), 0);
        CU_ASSERT_EQUAL(t.kind, expected[i].kind);
        CU_ASSERT_EQUAL(t.begin, expected[i].begin);
        CU_ASSERT_EQUAL(t.end, expected[i].end);
    }
    h5ck_json_end(&j);
}

static void numbers_are_exact(void)
{
    reads("[0, -0, 9223372036854775807, -9223372036854775808]", "[ 0 0 9223372036854775807 -9223372036854775808 ^");
    reads("[9223372036854775808, 18446744073709551615]", "[ u9223372036854775808 u18446744073709551615 ^");
    reads("[18446744073709551616, -9223372036854775809]", "[ 0x1p+64 -0x1p+63 ^");
    reads("[0.1, -0.0, 1e0, 5e-324, 1.7976931348623157E+308, 1e999]",
          "[ 0x1.999999999999ap-4 -0x0p+0 0x1p+0 0x0.0000000000001p-1022 0x1.fffffffffffffp+1023 inf ^");
}

static void strings_are_unescaped(void)
{
    reads("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e4\\u20ac\"", "'a\"\\/\b\f\n\r\tA\xc3\xa4\xe2\x82\xac'");
    reads("\"\\ud83d\\uDE00 \xf0\x9f\x98\x80\"", "'\xf0\x9f\x98\x80 \xf0\x9f\x98\x80'");
    reads("{\"\\u006b\": 1}", "{ 'k'= 1 ^");
}

static void wrong_texts_are_refused_where_they_are_wrong(void)
{
    refuses("", "offset 100: expected a value, found the end of the JSON text");
    refuses("[1, ]", "offset 104: expected a value, found ']'");
    refuses("[1 2]", "offset 103: expected ',' or ']', found '2'");
    refuses("[1}", "offset 102: expected ',' or ']', found '}'");
    refuses("{\"a\":1]", "offset 106: expected ',' or '}', found ']'");
    refuses("{\"a\" 1}", "offset 105: expected ':' behind a key, found '1'");
    refuses("{a:1}", "expected a key or '}', found 'a'");
    refuses("{\"a\":1,}", "expected a key, found '}'");
    refuses("{1:2}", "expected a key or '}', found '1'");
    refuses("[", "found the end");
    refuses("{} {}", "offset 103: expected the end of the JSON text, found '{'");
    refuses_bytes("{}\0", 3, "expected the end of the JSON text, found the byte 0x00");
    refuses("nul", "expected a value, found 'n'");
    refuses("NaN", "expected a value, found 'N'");
    refuses("'a'", "expected a value");
    refuses("/**/1", "expected a value, found '/'");
}

static void wrong_numbers_are_refused(void)
{
    refuses("01", "without leading zeros");
    refuses("-", "expected a digit, found the end");
    refuses("+1", "expected a value, found '+'");
    refuses(".5", "expected a value, found '.'");
    refuses("1.", "expected a digit behind the point");
    refuses("1e", "expected a digit of the exponent");
    refuses("1e+", "expected a digit of the exponent");
    refuses("0x10", "expected the end of the JSON text, found 'x'");
    refuses("1,5", "expected the end of the JSON text, found ','");
}

static void wrong_strings_are_refused(void)
{
    refuses("\"abc", "expected the closing '\"' of a string, found the end");
    refuses("\"a\nb\"", "expected the closing '\"' of a string, found the byte 0x0a");
    refuses_bytes("\"a\0b\"", 5, "expected the closing '\"' of a string, found the byte 0x00");
    refuses("\"\\x41\"", "behind \\, found 'x'");
    refuses("\"\\", "behind \\, found the end");
    refuses("\"\\u12g4\"", "four hexadecimal digits");
    refuses("\"\\u12", "four hexadecimal digits");
    refuses("\"\\ud83d\"", "found the first alone");
    refuses("\"\\ud83d\\u0041\"", "found the first alone");
    refuses("\"\\ude00\"", "found the second alone");
    refuses("\"\xff\"", "expected a string in UTF-8");
    refuses("\"\xc3\"", "expected a string in UTF-8");
    refuses("\"\xed\xa0\x80\"", "expected a string in UTF-8"); /* a surrogate */
    refuses("\"\xc0\x80\"", "expected a string in UTF-8");     /* an overlong zero */
}

static void depth_is_bounded(void)
{
    char text[2 * H5CK_JSON_DEPTH + 3];
    h5ck_buf out = H5CK_BUF_INIT;
    h5ckpt_error *err = NULL;
    memset(text, '[', H5CK_JSON_DEPTH);
    memset(text + H5CK_JSON_DEPTH, ']', H5CK_JSON_DEPTH);
    CU_ASSERT_PTR_NOT_NULL(tokens_of(text, 2 * H5CK_JSON_DEPTH, &out, &err));
    test_expect_none(&err);
    h5ck_buf_free(&out);
    memset(text, '[', H5CK_JSON_DEPTH + 1);
    refuses_bytes(text, H5CK_JSON_DEPTH + 1, "offset 740: expected at most 640 levels of JSON, found more");
}

static void every_cut_is_refused(void)
{
    static const char text[] = "{\"a\\u0041\":[1.5e3,-2,true,null,{\"\xc3\xa4\":\"\\ud83d\\ude00\"}]}";
    for (size_t n = 0; n < strlen(text); n++)
        refuses_bytes(text, n, "");
}

static void values_are_skipped_whole(void)
{
    static const char text[] = "{\"a\": {\"b\": [1, [2], {}]}, \"c\": 3, \"d\": 4}";
    h5ck_json j;
    h5ck_json_token t;
    h5ck_json_begin(&j, text, strlen(text), 0);
    CU_ASSERT_EQUAL(h5ck_json_expect(&j, H5CK_JSON_OBJECT, &t, NULL), 0);
    for (const char *key = "acd"; *key; key++) {
        CU_ASSERT_EQUAL(h5ck_json_expect(&j, H5CK_JSON_KEY, &t, NULL), 0);
        CU_ASSERT_EQUAL(t.str[0], *key);
        CU_ASSERT_EQUAL(h5ck_json_next(&j, &t, NULL), 0);
        CU_ASSERT_EQUAL(h5ck_json_skip(&j, &t, NULL), 0);
    }
    CU_ASSERT_EQUAL(h5ck_json_expect(&j, H5CK_JSON_CLOSE, &t, NULL), 0);
    CU_ASSERT_EQUAL(h5ck_json_expect(&j, H5CK_JSON_END, &t, NULL), 0);
    h5ck_json_end(&j);
}

static void another_kind_than_expected_is_told(void)
{
    h5ck_json j;
    h5ck_json_token t;
    h5ckpt_error *err = NULL;
    h5ck_json_begin(&j, " 12", 3, 8);
    CU_ASSERT_EQUAL(h5ck_json_expect(&j, H5CK_JSON_OBJECT, &t, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "offset 9: expected an object, found a number");
    h5ck_json_end(&j);
}

/* ---- Writing ---- */

static void strings_are_escaped_where_they_must_be(void)
{
    h5ck_buf out = H5CK_BUF_INIT;
    h5ck_json_put_string(&out, "a\"\\/\b\f\n\r\t\x01\x7f\0\xc3\xa4", 14);
    CU_ASSERT_STRING_EQUAL(h5ck_buf_cstr(&out), "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f\\u0000\xc3\xa4\"");
    h5ck_buf_free(&out);
}

static void doubles_are_short_and_exact(void)
{
    static const struct {
        double d;
        const char *text;
    } cases[] = {{0.1, "0.1"},
                 {1, "1.0"},
                 {-0.0, "-0.0"},
                 {1e300, "1e+300"},
                 {1.0 / 3, "0.3333333333333333"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {DBL_MAX, "1.7976931348623157e+308"},
                 {1e15, "1e+15"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h5ck_buf out = H5CK_BUF_INIT;
        h5ck_json_put_double(&out, cases[i].d);
        CU_ASSERT_STRING_EQUAL(h5ck_buf_cstr(&out), cases[i].text);
        h5ck_buf_free(&out);
    }
}

/* ---- Values ---- */

/* The value's text is this, and its value is that again. */
static void is_text(const h5ckpt_value *v, const char *text)
{
    h5ck_arena arena = {NULL};
    h5ck_buf out = H5CK_BUF_INIT;
    h5ckpt_value back;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_value_to_json(v, &out, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_STRING_EQUAL(h5ck_buf_cstr(&out), text);
    CU_ASSERT_EQUAL_FATAL(h5ck_value_from_json((const char *)out.data, out.len, &arena, &back, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_TRUE(h5ck_value_equal(v, &back));
    CU_ASSERT_EQUAL(v->distinct, back.distinct);
    h5ck_arena_free(&arena);
    h5ck_buf_free(&out);
}

static h5ckpt_value of_bytes(h5ckpt_value_type type, const void *bytes, size_t n)
{
    return (h5ckpt_value){.type = type, .count = n, .as.bytes = bytes};
}

static void plain_values_are_plain_json(void)
{
    h5ckpt_value v = {.type = H5CKPT_NONE};
    is_text(&v, "null");
    v = h5ck_value_bool(true);
    is_text(&v, "true");
    v = h5ck_value_int(INT64_MIN);
    is_text(&v, "-9223372036854775808");
    v = h5ck_value_float(-0.0);
    is_text(&v, "-0.0");
    v = h5ck_value_str("a\n\xc3\xa4$");
    is_text(&v, "\"a\\n\xc3\xa4$\"");
    const h5ckpt_value items[] = {h5ck_value_int(1), h5ck_value_float(1)};
    v = (h5ckpt_value){.type = H5CKPT_LIST, .count = 2, .as.items = items};
    is_text(&v, "[1, 1.0]");
    const h5ckpt_field fields[] = {{h5ck_value_str("b"), v}, {h5ck_value_str("a"), h5ck_value_bool(false)}};
    v = (h5ckpt_value){.type = H5CKPT_DICT, .count = 2, .as.fields = fields};
    is_text(&v, "{\"b\": [1, 1.0], \"a\": false}");
    v = (h5ckpt_value){.type = H5CKPT_DICT};
    is_text(&v, "{}");
}

static void what_json_has_no_word_for_is_tagged(void)
{
    const h5ckpt_value items[] = {h5ck_value_int(1)};
    h5ckpt_value v = {.type = H5CKPT_TUPLE, .count = 1, .as.items = items};
    is_text(&v, "{\"$tuple\": [1]}");
    const h5ckpt_field by_int[] = {{h5ck_value_int(1), h5ck_value_str("x")}, {v, h5ck_value_bool(true)}};
    v = (h5ckpt_value){.type = H5CKPT_DICT, .count = 2, .as.fields = by_int};
    is_text(&v, "{\"$dict\": [[1, \"x\"], [{\"$tuple\": [1]}, true]]}");
    const h5ckpt_field dollar[] = {{h5ck_value_str("$tuple"), h5ck_value_int(1)}};
    v = (h5ckpt_value){.type = H5CKPT_DICT, .count = 1, .as.fields = dollar};
    is_text(&v, "{\"$dict\": [[\"$tuple\", 1]]}");
    v = h5ck_value_float((double)INFINITY);
    is_text(&v, "{\"$float\": \"inf\"}");
    v = h5ck_value_float(-(double)INFINITY);
    is_text(&v, "{\"$float\": \"-inf\"}");
    v = h5ck_value_float(h5ck_f64_from_bits(UINT64_C(0x7ff8000000000000)));
    is_text(&v, "{\"$float\": \"nan\"}");
    v = h5ck_value_float(h5ck_f64_from_bits(UINT64_C(0xfff8000000000001)));
    is_text(&v, "{\"$float\": \"fff8000000000001\"}");
    v = of_bytes(H5CKPT_BYTES, "\0\xff", 2);
    is_text(&v, "{\"$bytes\": \"00ff\"}");
    v = of_bytes(H5CKPT_BIGINT, "\0\0\0\0\0\0\0\x80\0", 9);
    is_text(&v, "{\"$bigint\": \"000000000000008000\"}");
    v = of_bytes(H5CKPT_STR, "a\0b", 3);
    is_text(&v, "\"a\\u0000b\"");
}

static void objects_and_arrays_come_back(void)
{
    static const uint64_t shape[] = {2, 1};
    static const unsigned char halves[] = {0, 0x3c, 0, 0xbc};
    const h5ckpt_array array = {H5CKPT_DTYPE_FLOAT16, 0, 2, shape, 4, halves};
    const h5ckpt_array scalar = {H5CKPT_DTYPE_FLOAT16, 1, 0, NULL, 2, halves};
    const h5ckpt_field fields[] = {{h5ck_value_str("a"), {.type = H5CKPT_ARRAY, .as.array = &array}},
                                   {h5ck_value_str("s"), {.type = H5CKPT_ARRAY, .as.array = &scalar}}};
    const h5ckpt_object object = {"paddle.x", "Decay", 2, fields};
    const h5ckpt_value v = {.type = H5CKPT_OBJECT, .as.object = &object};
    is_text(&v, "{\"$object\": [\"paddle.x\", \"Decay\", {\"a\": {\"$array\": [\"float16\", [2, 1], \"003c00bc\"]}, "
                "\"s\": {\"$scalar\": [\"float16\", \"003c\"]}}]}");
}

static void flags_come_back(void)
{
    h5ckpt_value v = h5ck_value_str("x");
    v.distinct = 1;
    is_text(&v, "{\"$distinct\": \"x\"}");
    v.python2 = 1;
    is_text(&v, "{\"$python2\": {\"$distinct\": \"x\"}}");
    v = h5ck_value_int(7);
    v.python2 = 1;
    is_text(&v, "{\"$python2\": 7}");
    h5ckpt_value key = h5ck_value_str("k");
    key.python2 = 1;
    const h5ckpt_field fields[] = {{key, h5ck_value_int(1)}};
    const h5ckpt_object object = {"m", "C", 1, fields};
    v = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &object};
    is_text(&v, "{\"$object\": [\"m\", \"C\", {\"$dict\": [[{\"$python2\": \"k\"}, 1]]}]}");
}

/* Objects, the deepest in JSON: as many levels as a value may have, and one more. */
static void the_deepest_value_comes_back(void)
{
    enum { MOST = H5CK_VALUE_DEPTH };
    static h5ckpt_object objects[MOST + 2];
    static h5ckpt_field fields[MOST + 2];
    h5ckpt_value key = h5ck_value_str("k"), v = h5ck_value_int(1);
    h5ck_arena arena = {NULL};
    h5ck_buf out = H5CK_BUF_INIT;
    h5ckpt_value back;
    h5ckpt_error *err = NULL;
    key.python2 = 1;
    for (size_t i = 0; i < MOST; i++) {
        fields[i] = (h5ckpt_field){key, v};
        objects[i] = (h5ckpt_object){"m", "C", 1, &fields[i]};
        v = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &objects[i]};
    }
    CU_ASSERT_EQUAL(h5ck_value_to_json(&v, &out, &err), 0);
    CU_ASSERT_EQUAL_FATAL(h5ck_value_from_json((const char *)out.data, out.len, &arena, &back, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_TRUE(h5ck_value_equal(&v, &back));
    h5ck_arena_free(&arena);
    h5ck_buf_free(&out);
    const h5ckpt_value around = {.type = H5CKPT_LIST, .count = 1, .as.items = &v};
    const h5ckpt_value again = {.type = H5CKPT_LIST, .count = 1, .as.items = &around};
    CU_ASSERT_EQUAL(h5ck_value_to_json(&again, &out, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "nested deeper");
    h5ck_buf_free(&out);
}

static void refuses_value(const char *text, const char *why)
{
    h5ck_arena arena = {NULL};
    h5ckpt_value v;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_value_from_json(text, strlen(text), &arena, &v, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, why);
    h5ck_arena_free(&arena);
}

static void wrong_values_are_refused(void)
{
    char deep[H5CK_VALUE_DEPTH + 3] = "";
    memset(deep, '[', H5CK_VALUE_DEPTH + 2);
    refuses_value(deep, "nested deeper");
    refuses_value("", "expected a value");
    refuses_value("1 2", "expected the end");
    refuses_value("{\"a\": 1, \"a\": 2}", "each key once");
    refuses_value("{\"a\\u0000\": 1}", "without zero bytes");
    refuses_value("{\"$what\": 1}", "'$' that is known");
    refuses_value("{\"$tuple\": [], \"b\": 1}", "expected the end of a list, found a key");
    refuses_value("{\"$tuple\": 1}", "expected an array");
    refuses_value("{\"$dict\": [[1]]}", "expected a value");
    refuses_value("{\"$dict\": [[1, 2, 3]]}", "expected the end of a list");
    refuses_value("{\"$dict\": [[[], 1]]}", "can be hashed");
    refuses_value("{\"$dict\": {}}", "array of pairs");
    refuses_value("{\"$dict\": [1]}", "array of a key and a value");
    refuses_value("{\"$float\": \"Inf\"}", "inf, -inf, nan");
    refuses_value("{\"$bytes\": \"0\"}", "pairs of hexadecimal digits");
    refuses_value("{\"$bytes\": \"0G\"}", "hexadecimal digits");
    refuses_value("{\"$object\": [\"m\", \"\", {}]}", "expected a name");
    refuses_value("{\"$object\": [\"m\", \"C\", []]}", "expected an object");
    refuses_value("{\"$object\": [\"m\", \"C\", {\"$tuple\": []}]}", "fields of an object");
    refuses_value("{\"$object\": [\"m\", \"C\", {\"$dict\": [[1, 2]]}]}", "whose names are strings");
    refuses_value("{\"$array\": [\"float31\", [1], \"00\"]}", "name of a dtype");
    refuses_value("{\"$array\": [\"int8\", [-1], \"00\"]}", "expected a shape");
    refuses_value("{\"$array\": [\"int8\", [2], \"00\"]}", "as many bytes");
    refuses_value("{\"$array\": [\"int64\", [4611686018427387904], \"\"]}", "");
    refuses_value("{\"$scalar\": [\"int8\", \"0000\"]}", "as many bytes");
    refuses_value("{\"$python2\": 1.5}", "a str, bytes or an int");
    refuses_value("{\"$distinct\": 1}", "expected a str");
    refuses_value("1e999", "that 64 bits hold");
    refuses_value("18446744073709551616", "that 64 bits hold");
}

static void integers_above_int64_are_bigints(void)
{
    h5ck_arena arena = {NULL};
    h5ckpt_value v;
    CU_ASSERT_EQUAL(h5ck_value_from_json("18446744073709551615", 20, &arena, &v, NULL), 0);
    const h5ckpt_value expected = of_bytes(H5CKPT_BIGINT, "\xff\xff\xff\xff\xff\xff\xff\xff\0", 9);
    CU_ASSERT_TRUE(h5ck_value_equal(&v, &expected));
    h5ck_arena_free(&arena);
}

int main(void)
{
    static const test_case cases[] = {
        {"tokens come in order", tokens_come_in_order},
        {"every token says where it stands", every_token_says_where_it_stands},
        {"numbers are exact", numbers_are_exact},
        {"strings are unescaped", strings_are_unescaped},
        {"wrong texts are refused where they are wrong", wrong_texts_are_refused_where_they_are_wrong},
        {"wrong numbers are refused", wrong_numbers_are_refused},
        {"wrong strings are refused", wrong_strings_are_refused},
        {"depth is bounded", depth_is_bounded},
        {"every cut is refused", every_cut_is_refused},
        {"values are skipped whole", values_are_skipped_whole},
        {"another kind than expected is told", another_kind_than_expected_is_told},
        {"strings are escaped where they must be", strings_are_escaped_where_they_must_be},
        {"doubles are short and exact", doubles_are_short_and_exact},
        {"plain values are plain JSON", plain_values_are_plain_json},
        {"what JSON has no word for is tagged", what_json_has_no_word_for_is_tagged},
        {"objects and arrays come back", objects_and_arrays_come_back},
        {"flags come back", flags_come_back},
        {"the deepest value comes back", the_deepest_value_comes_back},
        {"wrong values are refused", wrong_values_are_refused},
        {"integers above int64 are bigints", integers_above_int64_are_bigints},
        {NULL, NULL}};
    return test_run("json", cases);
}
