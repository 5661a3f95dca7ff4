/* Counts words in files with a pool of worker processes, exactly, also while workers are killed.
 *
 *     gcc -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -Iinclude c-examples/word_count.c target/release/libforq.a \
 *         -o word_count
 *     ./word_count [--workers N] [--no-baseline] [PATH]...
 *
 * It shows forq_pool_map with a context and statuses, workers that inherit memory from forq_shared_alloc, and how
 * results stay exact when tasks have effects and may run twice. Standard output and exit code are those of
 * examples/word_count.rs for the same arguments, which tells what is counted; standard error has warnings and times.
 *
 * Each worker adds to a table of its own in shared memory; the host adds up a few tables. Each table has a state and a
 * log. State 0: it is empty. Odd: it is being changed, or was never cleared. 2n: it is the sum of exactly the n blocks
 * that the log lists. A task makes the state odd, adds a block's words, logs the block, and makes it 2n + 2. A worker
 * takes a table by a counter at its first block of a map, so no two have the same one, and clears it. If there is none
 * left, it does nothing. The pool tries a block again when its worker dies: also when the task had ended, and the pool
 * did not know yet. So it is the logs alone that say what was done. When the map has returned, nobody runs a task, and
 * the host owns all tables (settle). It throws away those whose state is odd, and those that list a block which an
 * accepted table lists; adds the others to the total; marks all as odd; and maps again the blocks that no accepted
 * table lists, until there are none. So every block is listed by one accepted table, which holds what it lists. */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdatomic.h>
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
    MOST_WORDS = 1 << 20,    /* distinct words in a table */
    SLOTS = 2 * MOST_WORDS,
    TOGETHER = 32,           /* words that are looked up together */
    MANY = 1 << 15,          /* words that are copied with their slots rather than added one by one */
    LOG = 1 << 16,           /* blocks in a map at most */
    ROUND_PATHS = 16 << 20,  /* bytes of paths at which a round ends */
    SPARE_TABLES = 8,        /* for workers that take the place of killed ones in one map */
    ATTEMPTS = 5,            /* of a block whose worker died */
    FRUITLESS_MAPS = 10,     /* in a row: then workers are killed faster than they count */
    TOP = 20,
    COUNTED = 0, BINARY = -1 /* what became of a block or file: counted, it has a NUL byte, or an errno */
};
#define NONE UINT32_MAX      /* a tally's number: the block is not in the total yet */

struct word { uint64_t key, pieces[LONGEST / PIECE]; };   /* key: a hash, and in the lowest 7 bits the length */
struct table {
    uint64_t used, words, refused;
    uint64_t slots[SLOTS];                                /* 0, or part of the key << 32 | place in records + 1 */
    uint64_t records[MOST_WORDS * (2 + LONGEST / PIECE)]; /* count, key, pieces; count, key, pieces; ... */
};
struct block { uint64_t path, start; uint32_t number; };  /* path: where in the round's paths */
struct tally { uint64_t words, bytes; int32_t outcome; uint32_t number; };
struct owned { _Atomic uint64_t state; struct tally log[LOG]; struct table table; };
struct tables { _Atomic uint64_t map; _Atomic uint32_t taken; uint32_t count; struct owned owned[]; };

static struct tables *tables;                             /* shared: made before the workers are forked */
static unsigned char text[1 + BLOCK + LONGEST + PIECE];   /* each process's own: the block that it is on */

static void fail(const char *what, const char *why) {
    fprintf(stderr, "word_count: %s: %s\n", what, why);
    exit(1);
}

static void *resized(void *array, size_t count, size_t size) {
    array = realloc(array, (count + 1) * size);
    if (!array) fail("memory", strerror(errno));
    return array;
}

/* -- words ----------------------------------------------------------------------------------------------------- */

#define EVERY(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The high bit of each byte that is a space, \t, \n, \v, \f or \r. No sum leaves its byte. */
static uint64_t spaces(uint64_t piece) {
    uint64_t low = piece & EVERY(0x7f), is_no_blank = (low ^ EVERY(' ')) + EVERY(0x7f);
    uint64_t from_tab = low + EVERY(0x80 - '\t'), past_return = low + EVERY(0x80 - ('\r' + 1));
    return ~piece & EVERY(0x80) & (~is_no_blank | (from_tab & ~past_return));
}

/* How many bytes stand before the first whose high bit is set; PIECE if none is. */
static size_t before(uint64_t high_bits) { return high_bits ? (size_t)__builtin_ctzll(high_bits) / 8 : PIECE; }

static uint64_t load(size_t at) {
    uint64_t piece;
    memcpy(&piece, text + at, PIECE);
    return le64toh(piece);
}

static uint64_t mix(uint64_t a, uint64_t b) {
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static size_t length_of(uint64_t key) { return key & 127; }
static size_t pieces_of(uint64_t key) { return (length_of(key) + PIECE - 1) / PIECE; }

static void add_word(struct table *table, uint64_t key, const uint64_t *pieces, uint64_t times) {
    uint64_t tag = key >> 7 << 32, *record;
    size_t count = pieces_of(key), slot = (key >> 43) % SLOTS, same;
    for (; table->slots[slot]; slot = (slot + 1) % SLOTS) {
        if (table->slots[slot] >> 32 != tag >> 32) continue;
        record = table->records + (uint32_t)table->slots[slot] - 1;
        if (record[1] != key) continue;
        for (same = 0; same < count && record[2 + same] == pieces[same];) same++;
        if (same < count) continue;
        record[0] += times;
        return;
    }
    if (table->words == MOST_WORDS) {
        table->refused = 1;
        return;
    }
    record = table->records + table->used;
    record[0] = times;
    record[1] = key;
    memcpy(record + 2, pieces, count * PIECE);
    table->slots[slot] = tag | (table->used + 1);
    table->used += 2 + count;
    table->words++;
}

/* Most words' places are far away: all are asked for before any is waited for, the slots first, then the records. */
static void add_all(struct table *table, const struct word *words, size_t count) {
    for (size_t i = 0; i < count; i++) __builtin_prefetch(&table->slots[(words[i].key >> 43) % SLOTS]);
    for (size_t i = 0; i < count; i++) {
        uint64_t slot = table->slots[(words[i].key >> 43) % SLOTS];
        if (slot) __builtin_prefetch(&table->records[(uint32_t)slot - 1], 1);
    }
    for (size_t i = 0; i < count; i++) add_word(table, words[i].key, words[i].pieces, 1);
}

/* Reads the word that begins at a place, or as much of it as there is room for; how many bytes. */
static size_t read_word(struct word *word, size_t at) {
    uint64_t hash = UINT64_C(0x9e3779b97f4a7c15);
    size_t length = 0, rest = PIECE;
    for (size_t i = 0; i < LONGEST / PIECE && rest == PIECE; i++, length += rest) {
        uint64_t piece = load(at + length);
        rest = before(spaces(piece));
        if (rest == 0) break;
        word->pieces[i] = piece & (UINT64_MAX >> (64 - 8 * rest));
        hash = mix(hash ^ word->pieces[i], UINT64_C(0xd6e8feb86659fd93));
    }
    word->key = (mix(hash, UINT64_C(0x9e3779b97f4a7c15) ^ length) & ~UINT64_C(127)) | length;
    return length;
}

static size_t end_of_word(size_t at) {
    while (!spaces(load(at))) at += PIECE;
    return at + before(spaces(load(at)));
}

/* Counts the words that begin in text[start..end]; what stands before start tells whether one begins there. */
static uint64_t count_words(struct table *table, size_t start, size_t end) {
    struct word kept[TOGETHER];
    size_t count = 0, at = start > 0 && !spaces(text[start - 1]) ? end_of_word(start) : start;
    for (uint64_t words = 0;; words++) {
        for (size_t gap = PIECE; at < end && gap == PIECE; at += gap) gap = before(~spaces(load(at)) & EVERY(0x80));
        if (at >= end || count == TOGETHER) {
            add_all(table, kept, count);
            count = 0;
        }
        if (at >= end) return words;
        size_t length = read_word(&kept[count], at);
        size_t stop = length == LONGEST ? end_of_word(at + length) : at + length;
        if (stop == at + length) count++;
        at = stop;
    }
}

/* -- tasks: run by the workers, and by the host when it counts alone ---------------------------------------------- */

/* Reads a block, the byte before it and LONGEST bytes after it: COUNTED if it is text, or why not; and its place. */
static int read_block(const char *paths, const struct block *block, size_t *start, size_t *end) {
    int file = open(paths + block->path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno;
    size_t ahead = block->start > 0, wanted = ahead + BLOCK + LONGEST, length = 0;
    ssize_t got = 1;
    while (length < wanted && got != 0) {
        got = pread(file, text + length, wanted - length, (off_t)(block->start - ahead + length));
        if (got > 0) length += (size_t)got;
        if (got < 0 && errno != EINTR) break;
    }
    int outcome = got < 0 ? errno : COUNTED;
    close(file);
    memset(text + length, ' ', PIECE);
    *start = ahead < length ? ahead : length;
    *end = length < ahead + BLOCK ? length : ahead + BLOCK;
    return outcome == COUNTED && memchr(text + *start, 0, *end - *start) ? BINARY : outcome;
}

/* Adds the block that was read to a table. */
static struct tally add_block(struct table *table, const struct block *block, int outcome, size_t start, size_t end) {
    struct tally tally = { .outcome = outcome, .number = block->number };
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
    if (mine->state != 0) {
        memset(mine->table.slots, 0, sizeof mine->table.slots);
        mine->table.used = mine->table.words = mine->table.refused = 0;
        atomic_store(&mine->state, 0);
    }
    return mine;
}

/* The task that counts a block. It has no output: the log tells. */
static int count_block(const void *input, void *output, const void *context) {
    static struct owned *mine;
    static uint64_t map;             /* in which it was taken */
    (void)output;
    if (map != tables->map) {
        mine = take_table();
        map = tables->map;
    }
    if (!mine) return 0;
    size_t start, end;
    int outcome = read_block(context, input, &start, &end);
    uint64_t state = mine->state;
    atomic_store(&mine->state, state + 1);
    atomic_thread_fence(memory_order_seq_cst);   /* the change stays between the two stores */
    mine->log[state / 2] = add_block(&mine->table, input, outcome, start, end);
    atomic_store(&mine->state, state + 2);
    return 0;
}

/* -- the host ---------------------------------------------------------------------------------------------------- */

struct file { uint64_t path, size; int32_t outcome; };
struct sums { uint64_t files, bytes, skipped, words, missing; };
/* One way of counting everything: by the pool, or, without one, by this process alone. */
struct counting {
    forq_pool *pool;
    struct table *total;
    struct sums sums;
    double took;
    /* The round: as many files as are counted together. */
    char *paths;
    struct file *files;
    size_t paths_used, paths_room, file_count, files_room, block_count;
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* What was told while the pool counted is not told again. */
static void warn(const struct counting *counting, const char *path, const char *why) {
    if (counting->pool) fprintf(stderr, "word_count: %s: %s\n", path, why);
}

static void skip(struct counting *counting, const char *path, const char *why) {
    warn(counting, path, why);
    counting->sums.skipped++;
}

static uint64_t blocks_of(const struct file *file) { return file->size ? (file->size + BLOCK - 1) / BLOCK : 1; }

/* Runs a task on blocks; true if any was given up because its workers were killed. */
static bool map(const struct counting *counting, forq_task_fn task, const struct block *blocks, size_t count,
                int32_t *outputs) {
    forq_task_status *statuses = resized(NULL, count, sizeof *statuses);
    forq_job job = { .fn = task, .context = counting->paths, .context_size = counting->paths_used,
                     .inputs = blocks, .input_size = sizeof *blocks, .count = count,
                     .outputs = outputs, .output_size = outputs ? sizeof *outputs : 0, .statuses = statuses };
    int status = forq_pool_map(counting->pool, &job, FORQ_FOREVER);
    bool killed = false;
    for (size_t i = 0; i < count && status == -ECHILD; i++)
        killed |= statuses[i].kind == FORQ_TASK_CRASHED && statuses[i].code > 0;
    if (status != 0 && !killed) fail("the pool failed", forq_strerror(status));
    free(statuses);
    return killed;
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

/* Accepts what workers have left in their tables, after a map. Of two that list a block, the smaller one goes. */
static void settle(struct tally *tallies, struct table *total) {
    uint32_t taken = tables->taken < tables->count ? tables->taken : tables->count, sound = 0;
    struct owned **order = resized(NULL, taken, sizeof *order);
    for (uint32_t i = 0; i < taken; i++)
        if (tables->owned[i].state % 2 == 0) order[sound++] = &tables->owned[i];
    qsort(order, sound, sizeof *order, by_log);
    for (uint32_t i = 0; i < sound; i++) {
        const struct tally *tally = order[i]->log, *end = tally + order[i]->state / 2;
        while (tally < end && tallies[tally->number].number == NONE) tally++;
        if (tally < end) continue;
        for (tally = order[i]->log; tally < end; tally++) tallies[tally->number] = *tally;
        merge(total, &order[i]->table);
    }
    free(order);
    for (uint32_t i = 0; i < taken; i++) tables->owned[i].state = 1;
    tables->taken = 0;
    tables->map++;
}

/* Counts up to LOG blocks. */
static void count_batch(struct counting *counting, struct block *blocks, size_t count, struct tally *tallies) {
    size_t left = count, fruitless = 0, start, end;
    for (size_t i = 0; i < count; i++) {
        blocks[i].number = (uint32_t)i;
        tallies[i].number = NONE;
        if (counting->pool) continue;
        int outcome = read_block(counting->paths, &blocks[i], &start, &end);
        tallies[i] = add_block(counting->total, &blocks[i], outcome, start, end);
    }
    while (counting->pool && left > 0) {
        map(counting, count_block, blocks, left, NULL);
        settle(tallies, counting->total);
        size_t tried = left;
        left = 0;
        for (size_t i = 0; i < tried; i++)
            if (tallies[blocks[i].number].number == NONE) blocks[left++] = blocks[i];
        fruitless = left < tried ? 0 : fruitless + 1;
        if (fruitless == FRUITLESS_MAPS) fail("workers", "killed faster than they count");
    }
}

/* Blocks of the round's files, of large ones only or of all that are good so far; owners says whose each is. */
static size_t list_blocks(const struct counting *counting, bool large, struct block *blocks, size_t *owners) {
    size_t count = 0;
    for (size_t i = 0; i < counting->file_count; i++) {
        const struct file *file = &counting->files[i];
        if (large ? blocks_of(file) == 1 : file->outcome != COUNTED) continue;
        for (uint64_t at = 0; at < blocks_of(file); at++, count++) {
            blocks[count] = (struct block){ .path = file->path, .start = at * BLOCK };
            owners[count] = i;
        }
    }
    return count;
}

/* Counts the files of the round, and empties it. */
static void run_round(struct counting *counting) {
    size_t room = counting->block_count, tries = 0, start, end;
    struct block *blocks = resized(NULL, room, sizeof *blocks);
    size_t *owners = resized(NULL, room, sizeof *owners);
    struct tally *tallies = resized(NULL, room, sizeof *tallies);
    int32_t *outcomes = resized(NULL, room, sizeof *outcomes);
    double began = now();

    /* Large files are looked at as a whole before anything of them is counted. */
    size_t count = list_blocks(counting, true, blocks, owners);
    for (size_t i = 0; i < count && !counting->pool; i++)
        outcomes[i] = read_block(counting->paths, &blocks[i], &start, &end);
    while (counting->pool && map(counting, inspect_block, blocks, count, outcomes))
        if (++tries == FRUITLESS_MAPS) fail("workers", "killed faster than they count");
    for (size_t i = 0; i < count; i++)
        if (outcomes[i] != COUNTED) counting->files[owners[i]].outcome = outcomes[i];

    count = list_blocks(counting, false, blocks, owners);
    for (size_t at = 0; at < count; at += LOG)
        count_batch(counting, blocks + at, count - at < LOG ? count - at : LOG, tallies + at);
    counting->took += now() - began;

    for (size_t i = 0; i < count; i++) {
        struct file *file = &counting->files[owners[i]];
        counting->sums.words += tallies[i].words;
        counting->sums.bytes += tallies[i].bytes;
        if (tallies[i].outcome == COUNTED) continue;
        if (blocks_of(file) == 1) file->outcome = tallies[i].outcome;
        else warn(counting, counting->paths + file->path, "changed while it was counted: a part is left out");
    }
    for (struct file *file = counting->files; file < counting->files + counting->file_count; file++) {
        const char *path = counting->paths + file->path;
        if (file->outcome == COUNTED) counting->sums.files++;
        else skip(counting, path, file->outcome == BINARY ? "binary: it has a NUL byte" : strerror(file->outcome));
    }
    counting->paths_used = counting->file_count = counting->block_count = 0;
    free(blocks), free(owners), free(tallies), free(outcomes);
}

static void add_file(struct counting *counting, const char *path, off_t size) {
    size_t length = strlen(path) + 1, at = counting->paths_used;
    if (at + length > counting->paths_room)
        counting->paths = resized(counting->paths, counting->paths_room = 2 * at + length, 1);
    if (counting->file_count == counting->files_room) {
        counting->files_room = 2 * counting->files_room + 1;
        counting->files = resized(counting->files, counting->files_room, sizeof *counting->files);
    }
    struct file *file = &counting->files[counting->file_count++];
    *file = (struct file){ .path = at, .size = (uint64_t)size };
    memcpy(counting->paths + at, path, length);
    counting->paths_used += length;
    counting->block_count += blocks_of(file);
    if (counting->block_count >= LOG || counting->paths_used >= ROUND_PATHS) run_round(counting);
}

/* Goes through a directory. Links found there are not followed; devices and the like are passed over. */
static void walk(struct counting *counting, char *directory) {
    FTS *walk = fts_open((char *[]){ directory, NULL }, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
    if (!walk) fail(directory, strerror(errno));
    for (FTSENT *entry; (entry = fts_read(walk)) != NULL;) {
        if (entry->fts_info == FTS_F) add_file(counting, entry->fts_path, entry->fts_statp->st_size);
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            skip(counting, entry->fts_path, strerror(entry->fts_errno));
    }
    fts_close(walk);
}

/* Counts everything at and below the paths. */
static void count_all(struct counting *counting, char **paths) {
    struct stat stats;
    counting->total = calloc(1, sizeof *counting->total);
    if (!counting->total) fail("memory", strerror(errno));
    for (; *paths; paths++) {
        if (stat(*paths, &stats) != 0) {
            warn(counting, *paths, strerror(errno));
            counting->sums.missing++;
        } else if (S_ISDIR(stats.st_mode)) walk(counting, *paths);
        else if (S_ISREG(stats.st_mode)) add_file(counting, *paths, stats.st_size);
        else skip(counting, *paths, "neither a file nor a directory");
    }
    run_round(counting);
    free(counting->paths), free(counting->files);
}

/* By count, and among equals in byte order. */
static bool comes_before(const uint64_t *one, const uint64_t *other) {
    if (one[0] != other[0]) return one[0] > other[0];
    for (size_t i = 0; i < pieces_of(one[1]) && i < pieces_of(other[1]); i++)
        if (one[2 + i] != other[2 + i]) return __builtin_bswap64(one[2 + i]) < __builtin_bswap64(other[2 + i]);
    return length_of(one[1]) < length_of(other[1]);
}

static void report(const struct sums *sums, const struct table *total) {
    const uint64_t *top[TOP], *end = total->records + total->used;
    size_t count = 0;
    for (const uint64_t *record = total->records; record < end; record += 2 + pieces_of(record[1])) {
        if (count == TOP && !comes_before(record, top[TOP - 1])) continue;
        size_t at = count < TOP ? count++ : TOP - 1;
        for (; at > 0 && comes_before(record, top[at - 1]); at--) top[at] = top[at - 1];
        top[at] = record;
    }
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
                                             { "no-baseline", no_argument, NULL, 'n' }, { NULL, 0, NULL, 0 } };
    char *here[] = { (char[]){ "." }, NULL }, *rest = here[0] + 1;
    unsigned long workers = 0;
    bool baseline = true;
    for (int option; (option = getopt_long(argc, argv, "w:", options, NULL)) != -1;) {
        if (option == 'w') workers = strtoul(optarg, &rest, 10);
        else baseline = false;
        if (option == '?' || *rest || workers > 4094) {
            fprintf(stderr, "usage: %s [--workers N] [--no-baseline] [PATH]...\n", argv[0]);
            return 2;
        }
    }
    char **paths = optind < argc ? argv + optind : here;
    if (workers == 0) workers = forq_cpu_count();

    void *memory;
    size_t size = sizeof *tables + (workers + SPARE_TABLES) * sizeof(struct owned);
    int status = forq_shared_alloc(size, &memory);
    if (status != 0) fail("no memory for the tables", forq_strerror(status));
    tables = memory;
    tables->count = (uint32_t)workers + SPARE_TABLES;
    tables->map = 1;

    struct counting by_pool = { 0 }, alone = { 0 };
    forq_pool_options pool_options = { .workers = (uint32_t)workers, .max_attempts = ATTEMPTS };
    status = forq_pool_new(&pool_options, &by_pool.pool);
    if (status != 0) fail("the pool failed", forq_strerror(status));
    count_all(&by_pool, paths);
    forq_pool_free(by_pool.pool);
    forq_shared_free(memory, size);
    report(&by_pool.sums, by_pool.total);
    fprintf(stderr, "%lu workers: %.3f s\n", workers, by_pool.took);
    if (baseline) {
        count_all(&alone, paths);
        if (memcmp(&alone.sums, &by_pool.sums, sizeof alone.sums) != 0)
            fprintf(stderr, "word_count: warning: counting again came to other sums: files have changed\n");
        double speed_up = alone.took / by_pool.took;
        fprintf(stderr, "one process: %.3f s; speed-up %.2f, efficiency %.2f\n", alone.took, speed_up,
                speed_up / (double)workers);
    }
    free(alone.total), free(by_pool.total);
    return by_pool.sums.missing > 0;
}
