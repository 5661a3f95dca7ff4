/* What is printed around a fork comes exactly once, though nothing was flushed: standard output is a file here. */
#define _GNU_SOURCE
#include "check.h"

static int output;
static char text[4096];

/* How often the piece is in the file. */
static int times(const char *piece) {
    int count = 0;
    for (const char *at = text; (at = strstr(at, piece)) != NULL; at++) count++;
    return count;
}

static void start_over(void) {
    fflush(stdout);
    CHECK(ftruncate(output, 0) == 0 && lseek(output, 0, SEEK_SET) == 0);
}

static void read_back(void) {
    fflush(stdout);
    ssize_t length = pread(output, text, sizeof text - 1, 0);
    CHECK(length >= 0);
    text[length] = 0;
}

static int print_number(void *number) {
    printf("<child %d>", *(int *)number);
    return 0;
}

static int print_and_exit(void *unused) {
    (void)unused;
    printf("<exit>");
    exit(0);
}

static void check_each_once(void) {
    start_over();
    static int numbers[4] = {0, 1, 2, 3};
    forq_process children[4];
    printf("<before>");
    for (int i = 0; i < 4; i++) {
        RETURNS(forq_process_spawn(&children[i], print_number, &numbers[i], NULL), 0);
        printf("<after %d>", i);
    }
    for (int i = 0; i < 4; i++) {
        int code = -1;
        RETURNS(forq_process_join(&children[i], &code, FORQ_FOREVER), 0);
        RETURNS(forq_process_close(&children[i]), 0);
        CHECK(code == 0);
    }
    read_back();
    IS(times("<before>"), 1);
    for (int i = 0; i < 4; i++) {
        char piece[32];
        snprintf(piece, sizeof piece, "<child %d>", i);
        IS(times(piece), 1);
        snprintf(piece, sizeof piece, "<after %d>", i);
        IS(times(piece), 1);
    }
    CHECK(strlen(text) == strlen("<before>") + 4 * strlen("<child 0><after 0>"));
}

static void each_text_comes_once(void) {
    check_each_once();
}

static _Atomic bool stop_thread;

static void *be_there(void *unused) {
    (void)unused;
    WAIT_UNTIL(stop_thread);
    return NULL;
}

static void each_text_comes_once_while_threads_run(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, be_there, NULL) == 0);
    check_each_once();
    stop_thread = true;
    CHECK(pthread_join(thread, NULL) == 0);
}

static void a_child_that_calls_exit_prints_once(void) {
    start_over();
    printf("<before>");
    forq_process child;
    RETURNS(forq_process_spawn(&child, print_and_exit, NULL, NULL), 0);
    RETURNS(forq_process_join(&child, IGNORED, FORQ_FOREVER), 0);
    RETURNS(forq_process_close(&child), 0);
    read_back();
    CHECK(strcmp(text, "<before><exit>") == 0);
}

static int crash(const void *input, void *task_output, const void *context) {
    (void)input, (void)task_output, (void)context;
    abort();
}

static int print_from_worker(const void *input, void *task_output, const void *context) {
    (void)task_output, (void)context;
    printf("<task %d>", *(const int *)input);
    return 0;
}

static void a_pool_prints_each_text_once(void) {
    start_over();
    printf("<before>");
    const forq_pool_options options = {.workers = 3};
    forq_pool *pool;
    RETURNS(forq_pool_new(&options, &pool), 0);
    printf("<after>");
    static const int numbers[] = {0, 1, 2, 3, 4, 5, 6, 7};
    forq_job job = {.fn = crash, .count = 4};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ECHILD);
    job = (forq_job){.fn = print_from_worker, .inputs = numbers, .input_size = sizeof(int), .count = 8};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    RETURNS(forq_pool_close(pool), 0);
    RETURNS(forq_pool_join(pool, FORQ_FOREVER), 0);
    forq_pool_free(pool);
    read_back();
    IS(times("<before>"), 1);
    IS(times("<after>"), 1);
    for (int i = 0; i < 8; i++) {
        char piece[32];
        snprintf(piece, sizeof piece, "<task %d>", i);
        IS(times(piece), 1);
    }
    CHECK(strlen(text) == strlen("<before><after>") + 8 * strlen("<task 0>"));
}

static void input_and_other_streams_are_left_alone(void) {
    char line[16] = {0};
    FILE *other = tmpfile();
    CHECK(other != NULL && fputs("<unflushed>", other) >= 0);
    int numbers = 0;
    int input[2];
    CHECK(pipe(input) == 0);
    CHECK(write(input[1], "one\ntwo\n", 8) == 8 && close(input[1]) == 0);
    FILE *reader = fdopen(input[0], "r");
    CHECK(reader != NULL && fgets(line, sizeof line, reader) != NULL && strcmp(line, "one\n") == 0);
    forq_process child;
    RETURNS(forq_process_spawn(&child, print_number, &numbers, NULL), 0);
    RETURNS(forq_process_join(&child, IGNORED, FORQ_FOREVER), 0);
    RETURNS(forq_process_close(&child), 0);
    CHECK(fgets(line, sizeof line, reader) != NULL && strcmp(line, "two\n") == 0);
    CHECK(fflush(other) == 0 && ftell(other) == (long)strlen("<unflushed>"));
    rewind(other);
    CHECK(fgets(text, sizeof text, other) != NULL && strcmp(text, "<unflushed>") == 0);
    CHECK(fclose(other) == 0 && fclose(reader) == 0);
}

int main(void) {
    begin();
    /* Appending, so that no write of one process goes over another's. */
    output = memfd_create("output", MFD_CLOEXEC);
    CHECK(output >= 0 && fcntl(output, F_SETFL, O_APPEND) == 0);
    CHECK(dup2(output, STDOUT_FILENO) == STDOUT_FILENO);
    CHECK(setvbuf(stdout, NULL, _IOFBF, 1 << 16) == 0);
    RUN(each_text_comes_once);
    RUN(each_text_comes_once_while_threads_run);
    RUN(a_child_that_calls_exit_prints_once);
    RUN(a_pool_prints_each_text_once);
    RUN(input_and_other_streams_are_left_alone);
    return finish();
}
