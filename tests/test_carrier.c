/* test_carrier.c - a whole state in a flat list and strings, and back; one wrong string a rule. */
#include "base/buf.h"
#include "format/carrier.h"
#include "schema/schema.h"
#include "test.h"

#include <string.h>

static const unsigned char zeros[64];

static void add(h5ckpt_state *s, int optimizer, const char *name, size_t lod_levels, const h5ckpt_lod_level *lod)
{
    static const uint64_t shape[] = {6};
    const h5ckpt_tensor_info info = {
        .name = name, .dtype = H5CKPT_DTYPE_INT8, .rank = 1, .shape = shape, .lod_levels = lod_levels, .lod = lod};
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ckpt_state_add_tensor(s, optimizer, &info, zeros, &err), 0);
    test_expect_none(&err);
}

/* A state that needs every string. */
static h5ckpt_state *rich(void)
{
    static const uint64_t offsets[] = {0, 2, 6};
    static const h5ckpt_lod_level level = {3, offsets};
    static const h5ckpt_field fields[] = {
        {{.type = H5CKPT_STR, .count = 8, .as.str = "step_num"}, {.type = H5CKPT_INT, .as.i = 7}},
        {{.type = H5CKPT_STR, .count = 9, .as.str = "step_size"}, {.type = H5CKPT_FLOAT, .as.f = 1}},
        {{.type = H5CKPT_STR, .count = 5, .as.str = "dtype"}, {.type = H5CKPT_STR, .count = 7, .as.str = "float32"}}};
    static const h5ckpt_object decay = {"paddle.fluid.dygraph.learning_rate_scheduler", "NoamDecay", 3, fields};
    const h5ckpt_value value = {.type = H5CKPT_OBJECT, .as.object = &decay};
    h5ckpt_error *err = NULL;
    h5ckpt_state *s = h5ckpt_state_new();
    add(s, 0, "w", 0, NULL);
    add(s, 0, "h5ckpt.0", 1, &level);
    add(s, 0, "reserved", 0, NULL);
    add(s, 1, "m", 0, NULL);
    add(s, 1, "w", 0, NULL);
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "made by", "a test", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_set_metadata(s, "h5ckpt.decays", "mine", &err), 0);
    CU_ASSERT_EQUAL(h5ckpt_state_add_decay(s, "None", &value, &err), 0);
    test_expect_none(&err);
    return s;
}

static void all_of_a_state_goes_into_the_list(void)
{
    static const char *const names[] = {"w", "h5ckpt.0", "h5ckpt.1", "m", "h5ckpt.2"};
    static const char *const strings[][2] = {
        {"made by", "a test"},
        {"h5ckpt.metadata.h5ckpt.decays", "mine"},
        {"h5ckpt.optimizer_state", "[\"m\", \"h5ckpt.2\"]"},
        {"h5ckpt.names", "{\"h5ckpt.1\": \"reserved\", \"h5ckpt.2\": \"w\"}"},
        {"h5ckpt.lod", "{\"h5ckpt.0\": [[0, 2, 6]]}"},
        {"h5ckpt.decays", "{\"None\": {\"$object\": [\"paddle.fluid.dygraph.learning_rate_scheduler\", \"NoamDecay\", "
                          "{\"step_num\": 7, \"step_size\": 1.0, \"dtype\": \"float32\"}]}}"}};
    static const h5ck_carrier_rules rules = {"reserved", 0};
    h5ckpt_state *s = rich();
    h5ck_arena arena = {NULL};
    h5ck_carrier_list list;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_carrier_list_state(s, &rules, &arena, &list, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_EQUAL_FATAL(list.tensor_count, sizeof names / sizeof *names);
    for (size_t i = 0; i < list.tensor_count; i++)
        CU_ASSERT_STRING_EQUAL(list.tensors[i].name, names[i]);
    CU_ASSERT_EQUAL_FATAL(list.string_count, sizeof strings / sizeof *strings);
    for (size_t i = 0; i < list.string_count; i++) {
        CU_ASSERT_STRING_EQUAL(list.strings[i].key, strings[i][0]);
        CU_ASSERT_STRING_EQUAL(list.strings[i].text, strings[i][1]);
    }
    h5ck_arena_free(&arena);
    h5ckpt_state_free(s);
}

static void plain_parameters_need_no_string(void)
{
    static const h5ck_carrier_rules rules = {NULL, 0};
    h5ckpt_state *s = h5ckpt_state_new();
    h5ck_arena arena = {NULL};
    h5ck_carrier_list list;
    add(s, 0, "w", 0, NULL);
    CU_ASSERT_EQUAL(h5ck_carrier_list_state(s, &rules, &arena, &list, NULL), 0);
    CU_ASSERT_EQUAL(list.tensor_count, 1);
    CU_ASSERT_EQUAL(list.string_count, 0);
    h5ck_arena_free(&arena);
    h5ckpt_state_free(s);
}

static void a_name_that_is_too_long_gets_another(void)
{
    static const h5ck_carrier_rules rules = {NULL, 3};
    h5ckpt_state *s = h5ckpt_state_new();
    h5ck_arena arena = {NULL};
    h5ck_carrier_list list;
    add(s, 0, "abc", 0, NULL);
    add(s, 0, "abcd", 0, NULL);
    CU_ASSERT_EQUAL(h5ck_carrier_list_state(s, &rules, &arena, &list, NULL), 0);
    CU_ASSERT_STRING_EQUAL(list.tensors[0].name, "abc");
    CU_ASSERT_STRING_EQUAL(list.tensors[1].name, "h5ckpt.0");
    CU_ASSERT_STRING_EQUAL(list.strings[0].text, "{\"h5ckpt.0\": \"abcd\"}");
    h5ck_arena_free(&arena);
    h5ckpt_state_free(s);
}

/* ---- Reading ---- */

static void take_note(void *user, const char *line)
{
    h5ck_buf_printf(user, "%s|", line);
}

/* Reads a list of these strings (key, text, ..., NULL) and of the tensors of `from`. */
static int read_back(h5ckpt_state *s, const h5ck_carrier_list *list, h5ck_buf *notes, h5ckpt_error **err)
{
    const h5ck_log log = {take_note, notes};
    h5ck_carrier c;
    int rc = 0;
    CU_ASSERT_EQUAL_FATAL(h5ck_schema_builtin(NULL, &s->schema, NULL), 0);
    h5ck_carrier_begin(&c, s, NULL, &log);
    for (size_t i = 0; rc == 0 && i < list->string_count; i++)
        rc = h5ck_carrier_add_string(&c, list->strings[i].key, list->strings[i].text, err);
    for (size_t i = 0; rc == 0 && i < list->tensor_count; i++) {
        h5ckpt_tensor_info info = list->tensors[i].tensor->info;
        info.name = list->tensors[i].name;
        info.lod_levels = 0;
        info.lod = NULL;
        rc = h5ck_carrier_add_tensor(&c, &info, &list->tensors[i].tensor->extent, err);
    }
    return h5ck_carrier_end(&c, rc);
}

static void end(h5ckpt_state *s)
{
    h5ck_schema_free(s->schema);
    h5ckpt_state_free(s);
}

static void all_of_it_comes_back(void)
{
    static const h5ck_carrier_rules rules = {"reserved", 0};
    h5ckpt_state *s = rich(), *back = h5ckpt_state_new();
    h5ck_arena arena = {NULL};
    h5ck_carrier_list list;
    h5ck_buf notes = H5CK_BUF_INIT;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_carrier_list_state(s, &rules, &arena, &list, NULL), 0);
    CU_ASSERT_EQUAL(read_back(back, &list, &notes, &err), 0);
    test_expect_none(&err);
    const h5ckpt_tensors *dicts[][2] = {{&s->parameters, &back->parameters},
                                        {&s->optimizer_state, &back->optimizer_state}};
    for (size_t d = 0; d < 2; d++) {
        CU_ASSERT_EQUAL_FATAL(h5ckpt_tensors_count(dicts[d][0]), h5ckpt_tensors_count(dicts[d][1]));
        for (size_t i = 0; i < h5ckpt_tensors_count(dicts[d][0]); i++)
            CU_ASSERT_STRING_EQUAL(h5ckpt_tensor_get_info(h5ckpt_tensors_at(dicts[d][0], i))->name,
                                   h5ckpt_tensor_get_info(h5ckpt_tensors_at(dicts[d][1], i))->name);
    }
    const h5ckpt_tensor_info *leveled = h5ckpt_tensor_get_info(h5ckpt_tensors_get(&back->parameters, "h5ckpt.0"));
    CU_ASSERT_EQUAL_FATAL(leveled->lod_levels, 1);
    CU_ASSERT_EQUAL(leveled->lod[0].count, 3);
    CU_ASSERT_EQUAL(leveled->lod[0].offsets[1], 2);
    CU_ASSERT_TRUE(h5ck_value_equal(&s->metadata, &back->metadata));
    CU_ASSERT_EQUAL_FATAL(h5ckpt_decays_count(&back->decays), 1);
    CU_ASSERT_TRUE(h5ck_value_equal(h5ckpt_decay_get_info(h5ckpt_decays_at(&s->decays, 0))->value,
                                    h5ckpt_decay_get_info(h5ckpt_decays_at(&back->decays, 0))->value));
    CU_ASSERT_EQUAL(notes.len, 0);
    h5ck_buf_free(&notes);
    h5ck_arena_free(&arena);
    h5ckpt_state_free(s);
    end(back);
}

/* What other programs left of a list is read, and the rest of the strings told. */
static void names_that_are_not_there_are_noted(void)
{
    static const h5ck_carrier_string strings[] = {{"h5ckpt.optimizer_state", "[\"m\", \"v\"]"}};
    const h5ck_carrier_list list = {0, 1, NULL, strings};
    h5ckpt_state *s = h5ckpt_state_new();
    h5ck_buf notes = H5CK_BUF_INIT;
    CU_ASSERT_EQUAL(read_back(s, &list, &notes, NULL), 0);
    CU_ASSERT_STRING_EQUAL(h5ck_buf_cstr(&notes), "the metadata speak of 2 tensors that are not there, 'm' the first|");
    h5ck_buf_free(&notes);
    end(s);
}

static void refuses(const char *key, const char *text, const char *why)
{
    const h5ck_carrier_string string = {key, text};
    static const uint64_t shape[] = {6};
    const h5ckpt_tensor t = {.info = {.name = "w", .dtype = H5CKPT_DTYPE_INT8, .rank = 1, .shape = shape},
                             .extent = {.kind = H5CK_EXTENT_MEMORY, .memory = zeros}};
    const h5ck_carrier_tensor tensor = {"w", &t};
    const h5ck_carrier_list list = {1, 1, &tensor, &string};
    h5ckpt_state *s = h5ckpt_state_new();
    h5ck_buf notes = H5CK_BUF_INIT;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(read_back(s, &list, &notes, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, why);
    h5ck_buf_free(&notes);
    end(s);
}

static void wrong_strings_are_refused(void)
{
    refuses("h5ckpt.decays", "{", "'h5ckpt.decays': offset 1: expected a key or '}'");
    refuses("h5ckpt.decays", "[]", "expected a dict of decays, found list");
    refuses("h5ckpt.decays", "{\"a\": 1}", "expected a learning-rate decay object, found int");
    refuses("h5ckpt.decays", "{\"$dict\": [[1, 2]]}", "expected the name of an optimizer, found int");
    refuses("h5ckpt.decays", "{\"a\": {\"$object\": [\"os\", \"system\", {}]}}", "expected a learning-rate decay");
    refuses("h5ckpt.decays",
            "{\"a\": {\"$object\": [\"paddle.fluid.dygraph.learning_rate_scheduler\", \"NoamDecay\", "
            "{\"x\": [{\"$object\": [\"os\", \"system\", {}]}]}]}}",
            "expected a learning-rate decay");
    refuses("h5ckpt.optimizer_state", "{}", "expected a list of names, found dict");
    refuses("h5ckpt.optimizer_state", "[1]", "expected the name of a tensor");
    refuses("h5ckpt.optimizer_state", "[\"\"]", "expected the name of a tensor");
    refuses("h5ckpt.names", "[]", "expected a dict of names, found list");
    refuses("h5ckpt.names", "{\"w\": 1}", "expected the true name of a tensor, found int");
    refuses("h5ckpt.names", "{\"w\": \"a\\u0000\"}", "without zero bytes");
    refuses("h5ckpt.names", "{\"w\": \"\"}", "expected a name for the tensor");
    refuses("h5ckpt.lod", "[]", "expected a dict of levels of detail, found list");
    refuses("h5ckpt.lod", "{\"w\": 1}", "expected a list of levels of detail, found int");
    refuses("h5ckpt.lod", "{\"w\": [1]}", "expected a level of detail, found int");
    refuses("h5ckpt.lod", "{\"w\": [[-1]]}", "expected an offset of a level of detail");
    refuses("h5ckpt.lod", "{\"w\": [[0, 5]]}", "");
}

int main(void)
{
    static const test_case cases[] = {{"all of a state goes into the list", all_of_a_state_goes_into_the_list},
                                      {"plain parameters need no string", plain_parameters_need_no_string},
                                      {"a name that is too long gets another", a_name_that_is_too_long_gets_another},
                                      {"all of it comes back", all_of_it_comes_back},
                                      {"names that are not there are noted", names_that_are_not_there_are_noted},
                                      {"wrong strings are refused", wrong_strings_are_refused},
                                      {NULL, NULL}};
    return test_run("carrier", cases);
}
