/* Counts words in files with a pool of worker processes, exactly, also while workers are killed.
 *
 *     gcc -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -Iinclude c-examples/word_count.c target/release/libforq.a -o word_count
 *     ./word_count [--workers N] [--no-baseline] [PATH]...
 *
 * It shows forq_pool_map with a context and statuses, workers that inherit memory of forq_shared_alloc, and how
 * results stay exact when tasks have effects and may run twice. Standard output and exit code are those
 * of examples/word_count.rs for the same arguments; standard error has warnings and times.
 *
 * Each worker adds to a table of its own in shared memory; the host adds the tables up. A table's state is 0 when it
 * is empty, odd while it is changed or was never cleared, and 2n when it is the sum of exactly the n blocks that
 * its log lists. A task makes it odd, adds a block's words, logs the block and makes it 2n + 2. Tasks are tried
 * again when their worker dies, even if they had ended and the pool did not know yet: so only
 * the logs say what has been counted. After a map nobody runs tasks, and the host owns all tables. It throws away
 * odd ones, and those that list a block which an accepted one has listed; it adds the others to the total, marks all
 * odd, and maps again the blocks that no accepted table lists. So each block is in the total exactly once. */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "forq.h"

enum {
    BLOCK = 1 << 20,         /* bytes of a block; a word belongs to the block in which it begins */
    LONGEST = 64,            /* bytes of the longest word that is kept; longer ones are only counted */
    PIECE = 8,               /* words are read, hashed and compared in pieces of so many bytes */
    PADDING = PIECE,         /* spaces after a text, so that a piece can always be read */
    MOST_WORDS = 1 << 20,    /* distinct words in a table */
    SLOTS = 2 * MOST_WORDS,
    LOG = 1 << 16,           /* blocks in a map at most */
    ROUND_PATHS = 16 << 20,  /* bytes of paths at which a round ends */
    MANY = 1 << 15,          /* words that are copied with their slots rather than added one by one */
    SPARE_TABLES = 8,        /* for workers that replace killed ones in one map */
    ATTEMPTS = 5,            /* of a block whose worker died */
    FRUITLESS_MAPS = 10,     /* in a row, when workers are killed all the time */
    TOP = 20,
    COUNTED = 0,             /* what became of a block or a file: this, ... */
    BINARY = -1              /* ... it has a NUL byte, or an errno */
};

struct table {
    uint64_t used, words, refused;
    uint64_t slots[SLOTS];                              /* 0, or part of the key << 32 | place in records + 1 */
    uint64_t records[MOST_WORDS * (2 + LONGEST / PIECE)];  /* count, key, pieces; count, key, pieces; ... */
};
struct block { uint64_t path, start; uint32_t number; };   /* path: where in the round's paths */
struct tally { uint64_t words, bytes; int32_t outcome; uint32_t number; };
struct owned { _Atomic uint64_t state; struct tally log[LOG]; struct table table; };
struct tables { _Atomic uint64_t map; _Atomic uint32_t taken; uint32_t count; struct owned owned[]; };
struct file { uint64_t path, size; int32_t outcome; };
struct sums { uint64_t files, bytes, skipped, words, missing; };

static struct tables *tables;        /* shared; mapped before the workers are forked */
static unsigned char text[1 + BLOCK + LONGEST + PADDING]; /* this process's own: the block that it is on */

static void fail(const char *what, const char *why) {
    fprintf(stderr, "word_count: %s: %s\n", what, why);
    exit(1);
}

static void *resized(void *array, size_t count, size_t size) {
    array = realloc(array, (count + 1) * size);
    if (!array) fail("memory", strerror(errno));
    return array;
}

/* -- words -------------------------------------------------------------------------------------------------- */

#define EVERY(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The high bit of each byte that is a space, \t, \n, \v, \f or \r. No sum leaves its byte. */
static uint64_t spaces(uint64_t piece) {
    uint64_t low = piece & EVERY(0x7f);
    uint64_t is_no_blank = (low ^ EVERY(' ')) + EVERY(0x7f);
    uint64_t from_tab = low + EVERY(0x80 - '\t'), past_return = low + EVERY(0x80 - ('\r' + 1));
    return ~piece & EVERY(0x80) & (~is_no_blank | (from_tab & ~past_return));
}

static uint64_t load(size_t at) {
    uint64_t piece;
    memcpy(&piece, text + at, PIECE);
    return le64toh(piece);
}

static size_t first(uint64_t high_bits) { return (size_t)__builtin_ctzll(high_bits) / 8; }

static uint64_t mix(uint64_t a, uint64_t b) {
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* A word's length is the lowest seven bits of its key. */
static size_t length_of(uint64_t key) { return key & 127; }
static size_t pieces_of(uint64_t key) { return (length_of(key) + PIECE - 1) / PIECE; }

static void add_word(struct table *table, uint64_t key, const uint64_t *pieces, uint64_t times) {
    uint64_t tag = key >> 7 << 32;
    size_t count = pieces_of(key), slot = (key >> 43) % SLOTS;
    for (; table->slots[slot]; slot = (slot + 1) % SLOTS) {
        if ((table->slots[slot] & ~(uint64_t)UINT32_MAX) != tag) continue;
        uint64_t *record = table->records + (uint32_t)table->slots[slot] - 1;
        size_t same = 0;
        if (record[1] == key)
            while (same < count && record[2 + same] == pieces[same]) same++;
        if (record[1] == key && same == count) {
            record[0] += times;
            return;
        }
    }
    if (table->words == MOST_WORDS) {
        table->refused = 1;
        return;
    }
    uint64_t *record = table->records + table->used;
    record[0] = times;
    record[1] = key;
    memcpy(record + 2, pieces, count * PIECE);
    table->slots[slot] = tag | (table->used + 1);
    table->used += 2 + count;
    table->words++;
}

static size_t end_of_word(size_t at) {
    uint64_t found;
    while (!(found = spaces(load(at)))) at += PIECE;
    return at + first(found);
}

/* Counts the words that begin in text[start..end]. What stands before tells whether one begins at start. */
static uint64_t count_words(struct table *table, size_t start, size_t end) {
    uint64_t words = 0;
    size_t at = start > 0 && !(spaces(text[0]) & 0x80) ? end_of_word(start) : start;
    for (;;) {
        while (at < end) {
            uint64_t found = ~spaces(load(at)) & EVERY(0x80);
            at += found ? first(found) : PIECE;
            if (found) break;
        }
        if (at >= end) return words;
        words++;
        uint64_t pieces[LONGEST / PIECE], hash = UINT64_C(0x9e3779b97f4a7c15);
        size_t length = 0, rest;
        do {
            uint64_t piece = load(at + length), found = spaces(piece);
            rest = found ? first(found) : PIECE;
            if (rest == 0) break;
            piece &= UINT64_MAX >> (64 - 8 * rest);
            pieces[length / PIECE] = piece;
            hash = mix(hash ^ piece, UINT64_C(0xd6e8feb86659fd93));
            length += rest;
        } while (rest == PIECE && length < LONGEST);
        uint64_t key = (mix(hash, UINT64_C(0x9e3779b97f4a7c15) ^ length) & ~UINT64_C(127)) | length;
        size_t stop = length < LONGEST ? at + length : end_of_word(at + LONGEST);
        if (stop == at + length) add_word(table, key, pieces, 1);
        at = stop;
    }
}

/* -- tasks: in the workers, and in the host when it counts alone --------------------------------------------- */

/* Reads a block, the byte before it and LONGEST bytes after it: COUNTED if it is text, with its place. */
static int read_block(const char *paths, const struct block *block, size_t *start, size_t *end) {
    int file = open(paths + block->path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno;
    size_t before = block->start > 0, wanted = before + BLOCK + LONGEST, length = 0;
    ssize_t got = 1;
    while (length < wanted && got != 0) {
        got = pread(file, text + length, wanted - length, (off_t)(block->start - before + length));
        if (got > 0) length += (size_t)got;
        if (got < 0 && errno != EINTR) break;
    }
    int outcome = got < 0 ? errno : COUNTED;
    close(file);
    memset(text + length, ' ', PADDING);
    *start = before < length ? before : length;
    *end = length < before + BLOCK ? length : before + BLOCK;
    return outcome == COUNTED && memchr(text + *start, 0, *end - *start) ? BINARY : outcome;
}

/* Adds the block that was read to a table. */
static struct tally add_block(struct table *table, const struct block *block, int outcome, size_t start, size_t end) {
    struct tally tally = { .number = block->number, .outcome = outcome };
    if (outcome == COUNTED) {
        tally.words = count_words(table, start, end);
        tally.bytes = end - start;
    }
    return tally;
}

/* The task that looks at a block of a large file. */
static int inspect_block(const void *input, void *output, const void *context) {
    size_t start, end;
    *(int32_t *)output = read_block(context, input, &start, &end);
    return 0;
}

/* Takes a table that nobody has taken in this map, and clears it; NULL if there is none left. */
static struct owned *take_table(void) {
    uint32_t index = atomic_fetch_add(&tables->taken, 1);
    if (index >= tables->count) return NULL;
    struct owned *mine = &tables->owned[index];
    if (atomic_load(&mine->state) != 0) {
        atomic_store(&mine->state, 1);
        memset(mine->table.slots, 0, sizeof mine->table.slots);
        mine->table.used = mine->table.words = mine->table.refused = 0;
        atomic_store(&mine->state, 0);
    }
    return mine;
}

/* The task that counts a block. It has no output: the log tells. */
static int count_block(const void *input, void *output, const void *context) {
    static uint64_t map;             /* in which the table was taken */
    static struct owned *mine;
    (void)output;
    if (map != atomic_load(&tables->map)) {
        mine = take_table();
        map = atomic_load(&tables->map);
    }
    if (!mine) return 0;             /* left to the next map */
    size_t start, end;
    int outcome = read_block(context, input, &start, &end);
    uint64_t state = atomic_load(&mine->state);
    atomic_store(&mine->state, state | 1);
    atomic_thread_fence(memory_order_seq_cst);   /* the change stays between the two stores */
    mine->log[state / 2] = add_block(&mine->table, input, outcome, start, end);
    atomic_store(&mine->state, state + 2);
    return 0;
}

/* -- the host ------------------------------------------------------------------------------------------------- */

struct round { char *paths; size_t paths_used, paths_room; struct file *files; size_t file_count, files_room, block_count; };

/* One way of counting everything: by the pool, or, without one, by this process. */
struct counting { forq_pool *pool; struct table *total; struct sums sums; double took; struct round round; };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* What the pool told in the first place is not told again. */
static void warn(const struct counting *counting, const char *path, const char *why) {
    if (counting->pool) fprintf(stderr, "word_count: %s: %s\n", path, why);
}

static void skip(struct counting *counting, const char *path, int outcome) {
    warn(counting, path, outcome == BINARY ? "binary: it has a NUL byte" : strerror(outcome));
    counting->sums.skipped++;
}

static uint64_t blocks_of(const struct file *file) { return file->size ? (file->size + BLOCK - 1) / BLOCK : 1; }

/* Runs a task on blocks; true if any was given up because its workers were killed. */
static bool map(const struct counting *counting, forq_task_fn task, const struct block *blocks, size_t count, int32_t *outputs) {
    forq_task_status *statuses = resized(NULL, count, sizeof *statuses);
    forq_job job = { .fn = task, .context = counting->round.paths, .context_size = counting->round.paths_used,
                     .inputs = blocks, .input_size = sizeof *blocks, .count = count,
                     .outputs = outputs, .output_size = outputs ? sizeof *outputs : 0, .statuses = statuses };
    int status = forq_pool_map(counting->pool, &job, FORQ_FOREVER);
    size_t killed = 0;
    for (size_t i = 0; i < count && status == -ECHILD; i++)
        killed += statuses[i].kind == FORQ_TASK_CRASHED && statuses[i].code > 0;
    free(statuses);
    if (status != 0 && killed == 0) fail("the pool failed", forq_strerror(status));
    return status != 0;
}

static void merge(struct table *total, const struct table *other) {
    if (total->used == 0 && other->words > MANY) {
        memcpy(total, other, offsetof(struct table, records) + other->used * sizeof *other->records);
        return;
    }
    const uint64_t *record = other->records, *end = record + other->used;
    for (; record < end; record += 2 + pieces_of(record[1])) add_word(total, record[1], record + 2, record[0]);
    total->refused |= other->refused;
}

static int by_log(const void *one, const void *other) {
    uint64_t a = (*(struct owned *const *)one)->state, b = (*(struct owned *const *)other)->state;
    return (a < b) - (a > b);
}

/* Accepts what workers have left in their tables, after a map; tallies of blocks not yet accepted have number NONE. */
#define NONE UINT32_MAX
static void settle(struct tally *tallies, struct table *total) {
    uint32_t taken = atomic_load(&tables->taken), sound = 0;
    if (taken > tables->count) taken = tables->count;
    struct owned *order[taken + 1];
    for (uint32_t i = 0; i < taken; i++)
        if (tables->owned[i].state % 2 == 0) order[sound++] = &tables->owned[i];
    qsort(order, sound, sizeof *order, by_log);      /* of two with a common block, the smaller one goes */
    for (uint32_t i = 0; i < sound; i++) {
        const struct tally *log = order[i]->log, *end = log + order[i]->state / 2, *tally = log;
        while (tally < end && tallies[tally->number].number == NONE) tally++;
        if (tally < end) continue;
        for (tally = log; tally < end; tally++) tallies[tally->number] = *tally;
        merge(total, &order[i]->table);
    }
    for (uint32_t i = 0; i < taken; i++) atomic_store(&tables->owned[i].state, 1);
    atomic_store(&tables->taken, 0);
    atomic_fetch_add(&tables->map, 1);
}

/* Counts up to LOG blocks. */
static void count_batch(struct counting *counting, struct block *blocks, size_t count, struct tally *tallies) {
    size_t left = count, fruitless = 0, start, end;
    for (size_t i = 0; i < count; i++) {
        blocks[i].number = (uint32_t)i;
        tallies[i].number = NONE;
        if (!counting->pool) {
            int outcome = read_block(counting->round.paths, &blocks[i], &start, &end);
            tallies[i] = add_block(counting->total, &blocks[i], outcome, start, end);
        }
    }
    while (counting->pool && left > 0) {
        map(counting, count_block, blocks, left, NULL);
        settle(tallies, counting->total);
        size_t before = left;
        left = 0;
        for (size_t i = 0; i < before; i++)
            if (tallies[blocks[i].number].number == NONE) blocks[left++] = blocks[i];
        fruitless = left < before ? 0 : fruitless + 1;
        if (fruitless == FRUITLESS_MAPS) fail("workers", "killed faster than they count");
    }
}

/* Blocks of the round's files: of all that are good, or of large ones only; owners says whose each is. */
static size_t list_blocks(const struct round *round, bool large_only, struct block *blocks, size_t *owners) {
    size_t count = 0;
    for (size_t i = 0; i < round->file_count; i++) {
        const struct file *file = &round->files[i];
        if (large_only ? blocks_of(file) == 1 : file->outcome != COUNTED) continue;
        for (uint64_t at = 0; at < blocks_of(file); at++, count++) {
            blocks[count] = (struct block){ .path = file->path, .start = at * BLOCK };
            owners[count] = i;
        }
    }
    return count;
}

/* Counts the files of the round, and empties it. */
static void run_round(struct counting *counting) {
    struct round *round = &counting->round;
    size_t room = round->block_count, start, end;
    struct block *blocks = resized(NULL, room, sizeof *blocks);
    size_t *owners = resized(NULL, room, sizeof *owners);
    struct tally *tallies = resized(NULL, room, sizeof *tallies);
    int32_t *outcomes = resized(NULL, room, sizeof *outcomes);
    double began = now();

    /* Large files are looked at as a whole before anything of them is counted. */
    size_t count = list_blocks(round, true, blocks, owners), tries = 0;
    for (size_t i = 0; i < count && !counting->pool; i++)
        outcomes[i] = read_block(round->paths, &blocks[i], &start, &end);
    while (counting->pool && map(counting, inspect_block, blocks, count, outcomes))
        if (++tries == FRUITLESS_MAPS) fail("workers", "killed faster than they count");
    for (size_t i = 0; i < count; i++)
        if (outcomes[i] != COUNTED) round->files[owners[i]].outcome = outcomes[i];

    count = list_blocks(round, false, blocks, owners);
    for (size_t at = 0; at < count; at += LOG)
        count_batch(counting, blocks + at, count - at < LOG ? count - at : LOG, tallies + at);
    counting->took += now() - began;

    for (size_t i = 0; i < count; i++) {
        struct file *file = &round->files[owners[i]];
        counting->sums.words += tallies[i].words;
        counting->sums.bytes += tallies[i].bytes;
        if (tallies[i].outcome == COUNTED) continue;
        if (blocks_of(file) == 1) file->outcome = tallies[i].outcome;
        else warn(counting, round->paths + file->path, "changed while it was counted: a part is left out");
    }
    for (size_t i = 0; i < round->file_count; i++) {
        const struct file *file = &round->files[i];
        if (file->outcome == COUNTED) counting->sums.files++;
        else skip(counting, round->paths + file->path, file->outcome);
    }
    round->paths_used = round->file_count = round->block_count = 0;
    free(blocks), free(owners), free(tallies), free(outcomes);
}

static void add_file(struct counting *counting, const char *path, off_t size) {
    struct round *round = &counting->round;
    size_t length = strlen(path) + 1;
    if (round->paths_used + length > round->paths_room)
        round->paths = resized(round->paths, round->paths_room = 2 * round->paths_room + length, 1);
    if (round->file_count == round->files_room)
        round->files = resized(round->files, round->files_room = 2 * round->files_room + 1, sizeof *round->files);
    struct file *file = &round->files[round->file_count++];
    *file = (struct file){ .path = round->paths_used, .size = (uint64_t)size };
    memcpy(round->paths + round->paths_used, path, length);
    round->paths_used += length;
    round->block_count += blocks_of(file);
    if (round->block_count >= LOG || round->paths_used >= ROUND_PATHS) run_round(counting);
}

/* Goes through a directory. Links found there are not followed; devices and the like are passed over. */
static void walk(struct counting *counting, char *directory) {
    FTS *walk = fts_open((char *[]){ directory, NULL }, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
    if (!walk) fail(directory, strerror(errno));
    for (FTSENT *entry; (entry = fts_read(walk)) != NULL;) {
        if (entry->fts_info == FTS_F) add_file(counting, entry->fts_path, entry->fts_statp->st_size);
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            skip(counting, entry->fts_path, entry->fts_errno);
    }
    fts_close(walk);
}

/* Counts everything at and below the paths. */
static void count_all(struct counting *counting, char **paths) {
    counting->total = calloc(1, sizeof *counting->total);
    if (!counting->total) fail("memory", strerror(errno));
    for (; *paths; paths++) {
        struct stat stats;
        if (stat(*paths, &stats) != 0) {
            warn(counting, *paths, strerror(errno));
            counting->sums.missing++;
        } else if (S_ISDIR(stats.st_mode)) {
            walk(counting, *paths);
        } else if (S_ISREG(stats.st_mode)) {
            add_file(counting, *paths, stats.st_size);
        } else {
            warn(counting, *paths, "neither a file nor a directory");
            counting->sums.skipped++;
        }
    }
    run_round(counting);
}

/* By count, and among equals in byte order. */
static bool comes_before(const uint64_t *one, const uint64_t *other) {
    if (one[0] != other[0]) return one[0] > other[0];
    size_t count = pieces_of(one[1]) < pieces_of(other[1]) ? pieces_of(one[1]) : pieces_of(other[1]);
    for (size_t i = 0; i < count; i++)
        if (one[2 + i] != other[2 + i]) return __builtin_bswap64(one[2 + i]) < __builtin_bswap64(other[2 + i]);
    return length_of(one[1]) < length_of(other[1]);
}

static void report(const struct counting *counting) {
    const struct table *total = counting->total;
    const uint64_t *top[TOP + 1], *record = total->records, *end = record + total->used;
    size_t count = 0;
    for (; record < end; record += 2 + pieces_of(record[1])) {
        if (count == TOP && record[0] < top[TOP - 1][0]) continue;
        size_t at = count;
        for (; at > 0 && comes_before(record, top[at - 1]); at--) top[at] = top[at - 1];
        top[at] = record;
        if (count < TOP) count++;
    }
    const struct sums *sums = &counting->sums;
    printf("files: %" PRIu64 "\nbytes: %" PRIu64 "\nskipped: %" PRIu64 "\n", sums->files, sums->bytes, sums->skipped);
    if (total->refused) printf("most frequent words (approximate: more than %d distinct ones):\n", MOST_WORDS);
    else printf("most frequent words:\n");
    for (size_t i = 0; i < count; i++) {
        printf("%12" PRIu64 " ", top[i][0]);
        for (size_t at = 0; at < length_of(top[i][1]); at++)
            putchar((int)(top[i][2 + at / PIECE] >> (8 * (at % PIECE)) & 0xff));
        putchar('\n');
    }
    printf("total words: %" PRIu64 "\n", sums->words);
    if (fflush(stdout) != 0) fail("standard output", strerror(errno));
}

int main(int argc, char **argv) {
    static const struct option options[] = { { "workers", required_argument, NULL, 'w' },
                                             { "no-baseline", no_argument, NULL, 'n' },
                                             { NULL, 0, NULL, 0 } };
    static char here[] = ".", *default_paths[] = { here, NULL };
    unsigned long workers = 0;
    bool baseline = true;
    for (int option; (option = getopt_long(argc, argv, "w:", options, NULL)) != -1;) {
        char *rest = "";
        if (option == 'w') workers = strtoul(optarg, &rest, 10);
        if (option == 'n') baseline = false;
        if (option == '?' || *rest || workers > 4094) {
            fprintf(stderr, "usage: %s [--workers N] [--no-baseline] [PATH]...\n", argv[0]);
            return 2;
        }
    }
    char **paths = optind < argc ? argv + optind : default_paths;
    if (workers == 0) workers = forq_cpu_count();

    void *memory;
    size_t size = sizeof *tables + (workers + SPARE_TABLES) * sizeof(struct owned);
    int status = forq_shared_alloc(size, &memory);
    if (status != 0) fail("no memory for the tables", forq_strerror(status));
    tables = memory;
    tables->count = (uint32_t)workers + SPARE_TABLES;
    atomic_store(&tables->map, 1);

    struct counting by_pool = { 0 }, alone = { 0 };
    forq_pool_options pool_options = { .workers = (uint32_t)workers, .max_attempts = ATTEMPTS };
    status = forq_pool_new(&pool_options, &by_pool.pool);
    if (status != 0) fail("the pool failed", forq_strerror(status));
    count_all(&by_pool, paths);
    forq_pool_free(by_pool.pool);
    report(&by_pool);
    fprintf(stderr, "%lu workers: %.3f s\n", workers, by_pool.took);
    if (baseline) {
        count_all(&alone, paths);
        if (memcmp(&alone.sums, &by_pool.sums, sizeof alone.sums) != 0)
            fprintf(stderr, "word_count: warning: counting again came to other sums: files have changed\n");
        double speed_up = alone.took / by_pool.took;
        fprintf(stderr, "one process: %.3f s; speed-up %.2f, efficiency %.2f\n", alone.took, speed_up,
                speed_up / (double)workers);
    }
    forq_shared_free(memory, size);
    return by_pool.sums.missing > 0;
}
