/* forq_..._set_name: what the header promises. What tools make of it is tested in tests/names.rs and tests/top.rs. */
#define _GNU_SOURCE
#include "check.h"
#include <inttypes.h>

/* Whether the table of names of this process holds these bytes, in a name that counts. */
static bool is_in_table(const char *name) {
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    char line[512];
    uintptr_t start = 0, end = 0;
    while (start == 0 && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "memfd:forq-names") != NULL) CHECK(sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2);
    fclose(maps);
    for (uintptr_t entry = start; entry < end; entry += 128)
        if (*(const uint8_t *)entry % 4 == 2 && strcmp((const char *)entry + 40, name) == 0) return true;
    return false;
}

static struct {
    forq_mutex m;
    forq_semaphore s;
    forq_condvar c;
    forq_event e;
    forq_barrier b;
} *shared;

static void names_are_given_replaced_and_taken_away(void) {
    shared = shared_memory(sizeof *shared);
    RETURNS(forq_mutex_set_name(&shared->m, NULL), 0);
    RETURNS(forq_mutex_set_name(&shared->m, "m"), 0);
    RETURNS(forq_semaphore_set_name(&shared->s, "s"), 0);
    RETURNS(forq_condvar_set_name(&shared->c, "c"), 0);
    RETURNS(forq_event_set_name(&shared->e, "e"), 0);
    RETURNS(forq_barrier_set_name(&shared->b, "b"), 0);
    CHECK(is_in_table("m") && is_in_table("s") && is_in_table("c") && is_in_table("e") && is_in_table("b"));
    RETURNS(forq_mutex_set_name(&shared->m, "new"), 0);
    CHECK(is_in_table("new") && !is_in_table("m"));
    RETURNS(forq_mutex_set_name(&shared->m, NULL), 0);
    RETURNS(forq_semaphore_set_name(&shared->s, ""), 0);
    CHECK(!is_in_table("new") && !is_in_table("s"));
}

static int name_in_child(void *q) {
    RETURNS(forq_queue_set_name(q, "jobs"), 0);
    return 0;
}

static void a_child_names_what_its_parent_made(void) {
    forq_queue *q;
    RETURNS(forq_queue_new(3, 3, &q), 0);
    RETURNS(forq_queue_set_name(q, "queue"), 0);
    IS(ended_with(in_child(name_in_child, q)), 0);
    CHECK(is_in_table("jobs") && !is_in_table("queue"));
    forq_queue_free(q);
}

static int refused_in_child(void *p) {
    RETURNS(forq_pool_set_name(p, "mine"), -EPERM);
    return 0;
}

static void a_pool_is_named_by_its_maker(void) {
    forq_pool *p;
    RETURNS(forq_pool_new(NULL, &p), 0);
    RETURNS(forq_pool_set_name(p, "pool"), 0);
    IS(ended_with(in_child(refused_in_child, p)), 0);
    CHECK(is_in_table("pool"));
    forq_pool_free(p);
    forq_channel *c;
    RETURNS(forq_channel_new(3, 3, &c), 0);
    RETURNS(forq_channel_set_name(c, "channel"), 0);
    CHECK(is_in_table("channel"));
    forq_channel_free(c);
}

static void what_is_not_shared_and_what_is_no_name_is_refused(void) {
    static forq_mutex private;
    RETURNS(forq_mutex_set_name(&private, "m"), -EINVAL);
    RETURNS(forq_mutex_set_name(&private, ""), -EINVAL);
    RETURNS(forq_mutex_set_name(NULL, "m"), -EINVAL);
    char name[65];
    memset(name, 'x', 64), name[64] = 0;
    RETURNS(forq_mutex_set_name(&shared->m, name), -EINVAL);
    name[63] = 0;
    RETURNS(forq_mutex_set_name(&shared->m, name), 0);
    CHECK(is_in_table(name));
}

int main(void) {
    begin();
    RUN(names_are_given_replaced_and_taken_away);
    RUN(a_child_names_what_its_parent_made);
    RUN(a_pool_is_named_by_its_maker);
    RUN(what_is_not_shared_and_what_is_no_name_is_refused);
    return finish();
}
