/* forq: processes, locks and worker pools in shared memory that survive the death of any participant.
 *
 *     #include <forq.h>
 *
 *     static int square(const void *input, void *output, const void *context) {
 *         (void)context;
 *         *(long *)output = *(const long *)input * *(const long *)input;
 *         return 0;
 *     }
 *
 *     int main(void) {
 *         long inputs[1000], outputs[1000];
 *         for (long i = 0; i < 1000; i++) inputs[i] = i;
 *         forq_pool *pool;
 *         if (forq_pool_new(NULL, &pool) != 0) return 1;
 *         forq_job job = { .fn = square, .inputs = inputs, .input_size = sizeof(long), .count = 1000,
 *                          .outputs = outputs, .output_size = sizeof(long) };
 *         int status = forq_pool_map(pool, &job, FORQ_FOREVER);
 *         forq_pool_free(pool);
 *         return status != 0;
 *     }
 *
 * The promise: a process may be killed at any instruction of any operation, and nobody hangs, nothing
 * committed is lost or doubled, and whoever comes next is told.
 *
 * Returns. Functions that return int give 0 or a count >= 0, else a negative errno (forq_strerror says
 * what it means); errno itself is left as it was. Outputs are written only on success.
 *     -EAGAIN      a call with timeout 0 would have to wait
 *     -EBUSY       somebody uses it: trylock of a held mutex, close of a running process
 *     -ETIMEDOUT   the time ran out
 *     -EOWNERDEAD  the holder died; the lock is held
 *     -EDEADLK     waiting would never end
 *     -EPERM       not by this thread or process
 *     -EOVERFLOW   released too often
 *     -EPIPE       the other end is gone; the barrier is broken
 *     -ESHUTDOWN   closed
 *     -EMSGSIZE    does not fit; the message stays
 *     -EPROTO      a descriptor is next, not a message, or the other way round; it stays
 *     -ECHILD      a worker, task or child was lost
 *     -ESRCH       the process has ended
 *     -ERANGE      index past the end
 *     -EINVAL      an argument is not valid: NULL, misaligned, zero, overflowing, out of order
 *     -ENOSPC      no room left: more waiters than can be counted
 *     -ENOMEM      memory, processes or descriptors are exhausted
 *     -ENOSYS      the kernel lacks what this needs (Linux 5.4 has it)
 *
 * Time. int64_t timeout_ns counts nanoseconds of the monotonic clock: FORQ_FOREVER (-1) waits for ever, 0
 * only tries (-EAGAIN), a positive one ends with -ETIMEDOUT and never early; other negatives are -EINVAL.
 * Signal handlers that run do not end a wait, unless the thread asked for it (forq_set_interruptible).
 *
 * Ownership. forq_mutex, forq_semaphore, forq_condvar, forq_event, forq_barrier and forq_backoff are used in place, and
 * forq_process and forq_connection are declared by the caller: all bytes zero is a free mutex, a semaphore without permits, a condition variable
 * without waiters, an event that is not set, a barrier that must be initialised first, a fresh back-off, no process, no connection. A
 * connection is this process's copy of an end: _close ends that, and the end is gone with the last copy. forq_pool is opaque: _new makes it, _free ends this process's use of it, and
 * _free(NULL) does nothing. No call uses the heap.
 *
 * Threads, forks, signals.
 *     object          threads of one process    processes                     child of a fork
 *     forq_mutex      yes                       yes, in MAP_SHARED memory     does not hold what its parent held
 *     forq_semaphore  yes                       yes, in MAP_SHARED memory     may use it
 *     forq_condvar    yes                       yes, in MAP_SHARED memory     does not wait where its parent waits
 *     forq_event      yes                       yes, in MAP_SHARED memory     may use it
 *     forq_barrier    yes                       yes, in MAP_SHARED memory     has not come where its parent has
 *     forq_backoff    one thread each           no                            its own copy
 *     forq_process    one thread at a time      the one that spawned it       may ask and signal, not join (-EPERM)
 *     forq_connection yes                       yes, each by its copy         has copies; not of the ends of forq_process_spawn_piped (see there)
 *     forq_pool       yes                       the one that made it          -EPERM, but for _free
 * A child of vfork or of a raw clone calls nothing of forq. All users of an object share one PID namespace.
 * In a signal handler only forq_strerror, forq_semaphore_release, forq_event_set, forq_event_is_set and forq_process_signal
 * may be called. Nothing unwinds into C.
 */
#ifndef FORQ_H
#define FORQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FORQ_ALIGNED(n) __attribute__((aligned(n)))

#define FORQ_VERSION_MAJOR 0
#define FORQ_VERSION_MINOR 1
#define FORQ_VERSION_PATCH 0
/** No time limit. */
#define FORQ_FOREVER ((int64_t)-1)

/** The exit code of a process whose status somebody else collected, where the kernel no longer tells it. */
#define FORQ_EXIT_UNKNOWN INT32_MIN

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The version of the library: "MAJOR.MINOR.PATCH". Static.
 */
const char *forq_version(void);

/**
 * What a negative status means, in a few words. Static; may be called in a signal handler.
 */
const char *forq_strerror(int status);

/**
 * CPUs that this process may use: those of its affinity mask, or fewer if its control group has a quota
 * (rounded up). At least 1.
 */
uint32_t forq_cpu_count(void);

/**
 * Whether waits of this thread end with -EINTR after a signal handler ran (not 0), or go on (0, as at
 * first). For language bindings. Returns what it was.
 */
int forq_set_interruptible(int on);

/**
 * 1: the kernel reports the death of a lock's holder at once. 0: it is found by looking, within a second.
 */
int forq_is_robust(void);

/**
 * Allocates zeroed, page-aligned memory that every later fork shares.
 *
 * Returns 0; -EINVAL for NULL or size 0; -ENOMEM.
 */
int forq_shared_alloc(size_t size, void **memory_out);

/**
 * Ends this process's use of memory from forq_shared_alloc, given its size. NULL does nothing.
 *
 * No thread of this process may hold a lock in it, or be inside a call on anything in it.
 * Returns 0; -EINVAL for an address or size that cannot be.
 */
int forq_shared_free(void *memory, size_t size);

/**
 * Its holder may lock it again, and releases it as often.
 */
#define FORQ_MUTEX_RECURSIVE 1

/**
 * Any thread of any process may release it, as Python's Lock: it has no owner and so no owner's death; locking it
 * twice waits; released when free: -EOVERFLOW.
 */
#define FORQ_MUTEX_ANY_RELEASE 2

/**
 * A mutex for the threads of any processes, that survives the death of its holder: 128 bytes, in any
 * MAP_SHARED memory, at different addresses in different processes. All bytes zero: free.
 *
 * A holder that dies (any signal, _exit, the end of its thread) is noticed by the kernel. The
 * next one to lock gets -EOWNERDEAD *with the lock held*; it repairs its data and calls
 * forq_mutex_consistent. If it unlocks without that, the next one is told again. A stopped holder is not dead.
 * A child forked while its parent holds the mutex does not hold it.
 */
typedef struct FORQ_ALIGNED(64) forq_mutex {
    /**
     * Not for users.
     */
    uint64_t _opaque[16];
} forq_mutex;

/**
 * What a mutex tells of its past, all processes together. While it is in use the numbers may belong to
 * neighbouring moments; each is read whole, and never goes back.
 */
typedef struct forq_mutex_statistics {
    /**
     * How often it was taken.
     */
    uint64_t acquisitions;
    /**
     * How many of those had to wait.
     */
    uint64_t contended;
    /**
     * How often a waiter slept in the kernel.
     */
    uint64_t slept;
    /**
     * Nanoseconds waited, all waiters together, from each one's first yield.
     */
    uint64_t waited_ns;
    /**
     * The longest single wait, in nanoseconds.
     */
    uint64_t waited_max_ns;
    /**
     * How many holders died; each death counts once, however often it is told.
     */
    uint64_t holder_deaths;
    /**
     * Zero.
     */
    uint64_t reserved[8];
} forq_mutex_statistics;

/**
 * Makes a mutex free, and its statistics zero. Nobody may be using it. Zeroed memory needs no call.
 *
 * flags: 0, FORQ_MUTEX_RECURSIVE, or FORQ_MUTEX_ANY_RELEASE. Returns 0; -EINVAL for NULL, memory that is not
 * 64-aligned, unknown flags, or both.
 */
int forq_mutex_init(struct forq_mutex *m, unsigned int flags);

/**
 * Waits for the mutex.
 *
 * Returns 0; -EOWNERDEAD (held); -EDEADLK if this thread holds it, or, within a second, if it is one of a circle
 * of threads, of any processes, that wait for each other's mutexes in one mapping: then nothing has changed, and the
 * others go on when this one releases what it holds; -EINVAL.
 */
int forq_mutex_lock(struct forq_mutex *m);

/**
 * Takes the mutex only if it is free.
 *
 * Returns 0; -EBUSY if somebody, this thread included, holds it; -EOWNERDEAD (held); -EINVAL.
 */
int forq_mutex_trylock(struct forq_mutex *m);

/**
 * Waits for the mutex for at most timeout_ns.
 *
 * Returns 0; -ETIMEDOUT; -EAGAIN if timeout_ns is 0 and it is not free; -EOWNERDEAD (held); -EDEADLK as forq_mutex_lock, whatever
 * the time; -EINVAL.
 */
int forq_mutex_timedlock(struct forq_mutex *m,
                         int64_t timeout_ns);

/**
 * Releases the mutex.
 *
 * Returns 0; -EPERM if this thread does not hold it; -EOVERFLOW if it is free and without owner; -EINVAL.
 */
int forq_mutex_unlock(struct forq_mutex *m);

/**
 * Declares what the mutex guards repaired after a holder's death.
 *
 * Returns 0; -EPERM if this thread does not hold it; -EINVAL if there is nothing to repair, or NULL.
 */
int forq_mutex_consistent(struct forq_mutex *m);

/**
 * The holder's thread id, 0 when it is free; out of date as soon as it is read. -EINVAL for NULL.
 */
int forq_mutex_owner(const struct forq_mutex *m);

/**
 * What the mutex tells of its past: in any process that maps it, at any time.
 *
 * Returns 0; -EINVAL.
 */
int forq_mutex_stats(const struct forq_mutex *m, struct forq_mutex_statistics *stats_out);

/**
 * Ends the use of a mutex; its memory may be used for something else.
 *
 * Returns 0; -EBUSY while it is held; -EINVAL.
 */
int forq_mutex_destroy(struct forq_mutex *m);

/**
 * A counting semaphore for the threads of any processes: 64 bytes, in any MAP_SHARED memory, at different
 * addresses in different processes. All bytes zero: no permits, no bound.
 *
 * Permits have no owner: those of a process that dies are not given back. Waiters that die take nothing
 * along.
 */
typedef struct FORQ_ALIGNED(64) forq_semaphore {
    /**
     * Not for users.
     */
    uint64_t _opaque[8];
} forq_semaphore;

/**
 * Gives a semaphore so many permits, of at most max; max 0: no bound below INT32_MAX. Nobody may be using it.
 *
 * Returns 0; -EINVAL for NULL, memory that is not 64-aligned, a max above INT32_MAX, or permits above max.
 */
int forq_semaphore_init(struct forq_semaphore *s, uint32_t permits, uint32_t max);

/**
 * Takes a permit: waits for one for at most timeout_ns.
 *
 * Returns 0; -ETIMEDOUT; -EAGAIN if timeout_ns is 0 and there is none; -EINTR if this thread asked for it; -EINVAL.
 */
int forq_semaphore_acquire(struct forq_semaphore *s,
                           int64_t timeout_ns);

/**
 * Gives so many permits, all or none, and wakes as many waiters. Never waits; may be called in a signal handler.
 *
 * Returns 0; -EOVERFLOW if there would be more than max; -EINVAL.
 */
int forq_semaphore_release(struct forq_semaphore *s,
                           uint32_t permits);

/**
 * How many permits are free; out of date as soon as it is read. -EINVAL for NULL.
 */
int forq_semaphore_value(const struct forq_semaphore *s);

/**
 * A condition variable for the threads of any processes: 64 bytes, in any MAP_SHARED memory, at different addresses
 * in different processes. All bytes zero: nobody waits.
 *
 * A notify lets those return who wait then, never one who comes later; it waits for nobody. A wait returns without
 * one at most after a death or a stop: wait in a loop. A notify that went to a killed waiter reaches another within
 * 250 ms. If a holder of the mutex dies, and nobody repairs, each waiter gets -EOWNERDEAD within 250 ms: so change what is
 * waited for and notify both under the mutex, and notify all after a repair. Waiters of several mutexes share the notifies.
 */
typedef struct FORQ_ALIGNED(64) forq_condvar {
    /**
     * Not for users.
     */
    uint64_t _opaque[8];
} forq_condvar;

/**
 * Makes a condition variable on which nobody waits. Nobody may be using it. Zeroed memory needs no call.
 *
 * Returns 0; -EINVAL for NULL or memory that is not 64-aligned.
 */
int forq_condvar_init(struct forq_condvar *c);

/**
 * Gives the mutex up (whole, if it is recursive), waits for a notify, and takes the mutex again, for which there is no
 * time limit. It is held on return, but for -EDEADLK; with -EPERM and -EINVAL it is as it was.
 *
 * Returns 0; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0: no notify is used up; -EOWNERDEAD if a holder of the mutex died
 * meanwhile; -EPERM if the mutex is not held by this thread; -ENOSPC if 16383 wait already; -EDEADLK if taking the mutex again
 * would never end: without the mutex; -EINVAL.
 */
int forq_condvar_wait(struct forq_condvar *c,
                      forq_mutex *m,
                      int64_t timeout_ns);

/**
 * Lets one of those who wait return, if there is any. Returns 0; -EINVAL.
 */
int forq_condvar_notify_one(struct forq_condvar *c);

/**
 * Lets so many of those who wait return, or all if they are fewer. Returns 0; -EINVAL.
 */
int forq_condvar_notify(struct forq_condvar *c, uint32_t waiters);

/**
 * Lets all return who wait. Returns 0; -EINVAL.
 */
int forq_condvar_notify_all(struct forq_condvar *c);

/**
 * How many wait and have not been notified; out of date as soon as it is read. The killed stay counted until a notify
 * of all. -EINVAL for NULL.
 */
int forq_condvar_waiters(const struct forq_condvar *c);

/**
 * A flag for the threads of any processes: 64 bytes, in any MAP_SHARED memory, at different addresses in different
 * processes. All bytes zero: not set.
 *
 * A waiter that waited while it was set returns even if it is cleared at once. Waiters that die are nobody's concern.
 */
typedef struct FORQ_ALIGNED(64) forq_event {
    /**
     * Not for users.
     */
    uint64_t _opaque[8];
} forq_event;

/**
 * Makes an event that is not set. Nobody may be using it. Zeroed memory needs no call.
 *
 * Returns 0; -EINVAL for NULL or memory that is not 64-aligned.
 */
int forq_event_init(struct forq_event *e);

/**
 * Sets it, and wakes all who wait. Never waits; may be called in a signal handler.
 *
 * Returns 0; -EINVAL.
 */
int forq_event_set(struct forq_event *e);

/**
 * Clears it: from now on waiting waits. Those who waited before it was set are not held up.
 *
 * Returns 0; -EINVAL.
 */
int forq_event_clear(struct forq_event *e);

/**
 * 1: it is set; 0: it is not; -EINVAL for NULL. May be called in a signal handler.
 */
int forq_event_is_set(const struct forq_event *e);

/**
 * Waits until it is set, for at most timeout_ns.
 *
 * Returns 0; -ETIMEDOUT; -EAGAIN if timeout_ns is 0 and it is not set; -EINTR if this thread asked for it; -EINVAL.
 */
int forq_event_wait(struct forq_event *e,
                    int64_t timeout_ns);

/**
 * A meeting point for a fixed number of parties, of any processes: 64 bytes, in any MAP_SHARED memory, at different
 * addresses in different processes. All bytes zero: no parties, nobody may wait (-EINVAL).
 *
 * A party that is killed while it waits has arrived. One that is killed before is missed: give the wait a time
 * limit. Who runs into it breaks the barrier, and all others get -EPIPE, until forq_barrier_reset.
 */
typedef struct FORQ_ALIGNED(64) forq_barrier {
    /**
     * Not for users.
     */
    uint64_t _opaque[8];
} forq_barrier;

/**
 * Makes a barrier for so many parties, 1 to 32767. Nobody may be using it.
 *
 * Returns 0; -EINVAL for NULL, memory that is not 64-aligned, or another number.
 */
int forq_barrier_init(struct forq_barrier *b, uint32_t parties);

/**
 * Comes, and waits until all parties have come, for at most timeout_ns. 0: comes only if it is the last.
 *
 * Returns the party's number in this round, 0 for the first to come to parties - 1 for the last; -ETIMEDOUT to the one
 * whose time is up first, which breaks the barrier; -EPIPE if it is or gets broken, or is reset meanwhile; -EAGAIN if timeout_ns
 * is 0 and others are missing; -EINTR if this thread asked for it, which breaks the barrier too; -EINVAL, also without parties.
 */
int forq_barrier_wait(struct forq_barrier *b,
                      int64_t timeout_ns);

/**
 * Breaks it: those who wait, and all who come later, get -EPIPE until forq_barrier_reset. Never waits.
 *
 * Returns 0; -EINVAL.
 */
int forq_barrier_abort(struct forq_barrier *b);

/**
 * Makes it whole, with nobody arrived; those who wait get -EPIPE. Never waits: it may be used again at once.
 *
 * Returns 0; -EINVAL.
 */
int forq_barrier_reset(struct forq_barrier *b);

/**
 * 1: broken; 0: not; -EINVAL for NULL.
 */
int forq_barrier_is_broken(const struct forq_barrier *b);

/**
 * How many parties have come and wait for the others; out of date as soon as it is read. -EINVAL for NULL.
 */
int forq_barrier_waiting(const struct forq_barrier *b);

/**
 * How many parties it is for; 0: nobody has made it a barrier. -EINVAL for NULL.
 */
int forq_barrier_parties(const struct forq_barrier *b);

/**
 * Waits a little longer each time: five steps of 2 to 32 pauses (about 1.6 us in all), then ten yields,
 * then the verdict "sleep in the kernel". All bytes zero: ready. Belongs to one thread.
 */
typedef struct forq_backoff {
    /**
     * Not for users.
     */
    uint64_t _opaque;
} forq_backoff;

/**
 * Starts with the shortest wait. Returns 0; -EINVAL for NULL.
 */
int forq_backoff_init(struct forq_backoff *b);

/**
 * Waits once, longer than the last time. Returns 1: go on; 0: time to sleep in the kernel (it then did not
 * wait); -EINVAL for NULL.
 */
int forq_backoff_snooze(struct forq_backoff *b);

/**
 * Starts over with the shortest wait. Returns 0; -EINVAL for NULL.
 */
int forq_backoff_reset(struct forq_backoff *b);

/**
 * One end of a pipe. Declared by the caller; all bytes zero: none. It may be moved, is copied by fork, and does
 * not belong in shared memory. Any number of threads and processes may use it at once; one receives at a time, the
 * others wait for their turn, which a killed one gives up.
 *
 * An end is gone when every copy, in whatever process, was closed or died with its process: so close in each process
 * the end that it does not use. (forq_process_spawn_piped does.)
 */
typedef struct forq_connection {
    /**
     * Not for users.
     */
    void *_turn;
    const void *_slot;
    /**
     * The descriptor, plus one.
     */
    int32_t _descriptor;
    uint32_t _direction;
    uint64_t _reserved;
} forq_connection;

/**
 * Makes two connected ends: what one sends the other receives. Both are close-on-exec.
 *
 * Returns 0; -ENOMEM without memory or descriptors; -EINVAL.
 */
int forq_pipe(struct forq_connection ends_out[2]);

/**
 * Makes an end that receives and an end that sends. The wrong direction is -EPERM.
 *
 * Returns as forq_pipe.
 */
int forq_pipe_one_way(struct forq_connection *receiver_out, struct forq_connection *sender_out);

/**
 * Sends a message: whole, or not at all. (NULL, 0) is an empty one, which is not the end.
 *
 * Waits for room for at most timeout_ns. Never raises SIGPIPE.
 * Returns 0; -EPIPE if the other end is gone; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0: nothing was sent; -EPERM at an end
 * that only receives; -ENOMEM without memory or descriptors for it; -ENOSPC if RLIMIT_FSIZE forbids it; -EINVAL.
 */
int forq_connection_send(struct forq_connection *c,
                         const void *message,
                         size_t size,
                         int64_t timeout_ns);

/**
 * Receives a message into a buffer, waiting for at most timeout_ns.
 *
 * size_out: its size. A message that does not fit stays: -EMSGSIZE, and size_out is the size needed, so (NULL, 0) asks for it
 * (an empty message fits, and is received).
 * Returns 0; -EMSGSIZE; -EPIPE at the end: the other end is gone, and all that it sent was received; -ETIMEDOUT, or -EAGAIN if
 * timeout_ns is 0; -EPERM at an end that only sends; -EPROTO if a descriptor is next, which stays; -ENOMEM if no descriptor is left
 * for a large message, which stays; -EINVAL.
 */
int forq_connection_recv(struct forq_connection *c,
                         void *buffer_out,
                         size_t capacity,
                         size_t *size_out,
                         int64_t timeout_ns);

/**
 * 1 if there is something to receive or the other end is gone, 0 if not, waiting for it for at most timeout_ns.
 *
 * Returns 1; 0; -EPERM at an end that only sends; -EINVAL.
 */
int forq_connection_poll(struct forq_connection *c,
                         int64_t timeout_ns);

/**
 * Its descriptor, readable while there is something to receive or the other end is gone: for poll and epoll, not for
 * reading; the handle's. -EINVAL.
 */
int forq_connection_fd(const struct forq_connection *c);

/**
 * Sends a copy of a descriptor, in its turn among the messages. Returns as forq_connection_send.
 */
int forq_connection_send_fd(struct forq_connection *c, int fd, int64_t timeout_ns);

/**
 * Receives a descriptor: a new one of this process, close-on-exec, the caller's to close.
 *
 * Returns 0; -EPROTO if a message is next, which stays; -ENOMEM if there is no room for it, then it stays; else as forq_connection_recv.
 */
int forq_connection_recv_fd(struct forq_connection *c,
                            int *fd_out,
                            int64_t timeout_ns);

/**
 * Closes this process's copy of an end, which no thread of it uses any more; all bytes are zero afterwards.
 *
 * Returns 0; -EINVAL.
 */
int forq_connection_close(struct forq_connection *c);

/**
 * Waits until at least one of count descriptors is ready: of a connection (something to receive, or its other end is gone), of a
 * process (it has ended), or any other that can be polled (readable, or at its end).
 *
 * ready_out: for each, whether it is.
 * Returns how many are; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -EINVAL for NULL, a count of 0, or a descriptor that is not open.
 */
int forq_wait(const int *fds,
              size_t count,
              bool *ready_out,
              int64_t timeout_ns);

/**
 * A child process. Declared by the caller; all bytes zero: none. It may be moved, is copied by fork, does
 * not belong in shared memory, and is used by one thread at a time.
 *
 * A process that is neither joined nor closed runs on. In a forked child the copy may ask and signal, but not join.
 */
typedef struct forq_process {
    /**
     * Not for users.
     */
    uint64_t _generation;
    int32_t _pid;
    /**
     * The descriptor, plus one.
     */
    int32_t _descriptor;
    int32_t _ended;
    int32_t _exit_code;
    uint64_t _reserved;
} forq_process;

/**
 * What a child runs; its value & 255 is the exit code.
 */
typedef int (*forq_process_fn)(void *argument);

/**
 * How to start a process. All bytes zero: as if there were none.
 */
typedef struct forq_process_options {
    /**
     * What ps shows, its first 15 bytes; NULL: none.
     */
    const char *name;
    /**
     * Ends when its parent process ends, however that ends. The last real-time signal is used for it.
     */
    bool daemon;
    /**
     * Gets a process group of its own.
     */
    bool own_group;
    /**
     * How much nicer than its parent, -39 to 39; less nice needs the privilege (-EPERM).
     */
    int32_t nice;
    /**
     * Must be zero.
     */
    uint64_t reserved[8];
} forq_process_options;

/**
 * Forks a child that runs fn(argument) and leaves by _exit with its value & 255.
 *
 * stdio is flushed before the fork, and by the child at its end. The child has a copy of everything; what both are
 * to see must be in shared memory. If other threads run, the child may do only what is safe in a signal handler.
 * Returns 0; -EINVAL for NULL, reserved fields not zero, or nice out of range; -EPERM for less nice without
 * the privilege; -ENOMEM.
 */
int forq_process_spawn(struct forq_process *p,
                       forq_process_fn fn,
                       void *argument,
                       const struct forq_process_options *options_or_null);

/**
 * As forq_process_spawn, with a pipe between parent and child: the child runs fn(its end, argument), end_out is the other end.
 *
 * Each end belongs to one process: forks that forq makes do not pass it on, so that the end of either process is seen by the
 * other whatever was forked in between. To the child of such a fork a handle that it copied says that the other end is gone.
 * Returns as forq_process_spawn.
 */
int forq_process_spawn_piped(struct forq_process *p,
                             int (*fn)(forq_connection *end, void *argument),
                             void *argument,
                             const struct forq_process_options *options_or_null,
                             forq_connection *end_out);

/**
 * Waits for the end of a process for at most timeout_ns. Again: the same answer.
 *
 * exit_code_out: the code, or -signal, or FORQ_EXIT_UNKNOWN.
 * Returns 0; -ETIMEDOUT; -EAGAIN if timeout_ns is 0 and it runs; -EPERM if this process is not its parent; -EINVAL.
 */
int forq_process_join(struct forq_process *p,
                      int *exit_code_out,
                      int64_t timeout_ns);

/**
 * 1 if the process has not ended, 0 if it has; -EINVAL.
 */
int forq_process_is_alive(struct forq_process *p);

/**
 * Sends a signal: to this process or to none, since it goes by descriptor. May be called in a signal handler.
 *
 * Returns 0; -ESRCH if it has ended; -EINVAL for no such signal; -EPERM.
 */
int forq_process_signal(struct forq_process *p, int signal);

/**
 * Asks a process to end: SIGTERM. Returns as forq_process_signal.
 */
int forq_process_terminate(struct forq_process *p);

/**
 * Ends a process: SIGKILL. Returns as forq_process_signal.
 */
int forq_process_kill(struct forq_process *p);

/**
 * The process id; -EINVAL.
 */
int forq_process_pid(const struct forq_process *p);

/**
 * A descriptor that is readable once the process has ended: for poll and epoll; the handle's. -EINVAL.
 */
int forq_process_fd(const struct forq_process *p);

/**
 * Gives up the handle of an ended process, joined or not; all bytes are zero afterwards.
 *
 * Returns 0; -EBUSY while it runs (in another process than its parent that does not matter); -EINVAL.
 */
int forq_process_close(struct forq_process *p);

/**
 * It returned 0.
 */
#define FORQ_TASK_OK 0

/**
 * It returned something else.
 */
#define FORQ_TASK_FAILED 1

/**
 * Its worker died of it.
 */
#define FORQ_TASK_CRASHED 2

/**
 * It ran longer than the pool allows.
 */
#define FORQ_TASK_TIMED_OUT 3

/**
 * The job ended before it did.
 */
#define FORQ_TASK_CANCELLED 4

/**
 * Worker processes that run functions on many inputs, and survive what the functions do. Belongs to the
 * process that made it: in others, every call but forq_pool_free gives -EPERM. Any of its threads may use it.
 */
typedef struct forq_pool forq_pool;

/**
 * What a pool is made with. All bytes zero: the defaults.
 */
typedef struct forq_pool_options {
    /**
     * 0: forq_cpu_count(). At most 4094.
     */
    uint32_t workers;
    /**
     * After how many items a worker is replaced; 0: never. Not in this version: must be 0.
     */
    uint32_t max_tasks_per_worker;
    /**
     * How often an item is tried whose worker died; 0 or 1: once.
     */
    uint32_t max_attempts;
    /**
     * How long an item may run; 0: for ever. Not in this version: must be 0.
     */
    int64_t task_timeout_ns;
    /**
     * Bytes of address space for inputs and results of jobs in flight, used as needed; 0: as much as the machine has memory.
     */
    size_t arena_size;
    /**
     * Run by each worker before its first task; not 0: it cannot work. NULL: none.
     */
    int (*initializer)(void *argument);
    /**
     * Given to the initializer.
     */
    void *initializer_argument;
    /**
     * SIGINT to the process group is the host's business; else it breaks the pool.
     */
    bool ignore_interrupt;
    /**
     * Must be zero.
     */
    uint64_t reserved[8];
} forq_pool_options;

/**
 * A task: reads input, writes output, may read the job's context. Returns 0, or its own code > 0.
 */
typedef int (*forq_task_fn)(const void *input, void *output, const void *context);

/**
 * How one item of a job ended.
 */
typedef struct forq_task_status {
    /**
     * One of FORQ_TASK_OK, FAILED, CRASHED, TIMED_OUT, CANCELLED.
     */
    uint32_t kind;
    /**
     * FAILED: what the task returned. CRASHED: the signal, or -n when the task called _exit(n). Else 0.
     */
    int32_t code;
} forq_task_status;

/**
 * A function on many inputs.
 */
typedef struct forq_job {
    /**
     * What is run on each. It must have been mapped before the pool was made.
     */
    forq_task_fn fn;
    /**
     * The same for all items; copied. NULL if the size is 0.
     */
    const void *context;
    /**
     * Bytes.
     */
    size_t context_size;
    /**
     * count of them, side by side; copied.
     */
    const void *inputs;
    /**
     * Bytes of one; 0: none.
     */
    size_t input_size;
    /**
     * How many items; 0: nothing to do.
     */
    size_t count;
    /**
     * Room for count results, side by side. Those of items that crashed or were not run stay as they were.
     */
    void *outputs;
    /**
     * Bytes of one; 0: none.
     */
    size_t output_size;
    /**
     * Items a worker takes at a time; 0: chosen by the pool.
     */
    size_t chunk_size;
    /**
     * Room for count statuses, or NULL.
     */
    struct forq_task_status *statuses;
    /**
     * Must be zero.
     */
    uint64_t reserved[8];
} forq_job;

/**
 * What a pool has done since it was made.
 */
typedef struct forq_pool_statistics {
    /**
     * How many workers it has.
     */
    uint32_t workers;
    /**
     * Items run, counted at the end of each chunk.
     */
    uint64_t items;
    /**
     * Workers that died of an item.
     */
    uint64_t crashes;
    /**
     * Workers replaced, whatever ended them.
     */
    uint64_t replaced;
    /**
     * Nanoseconds that workers were busy, all together.
     */
    uint64_t busy_ns;
    /**
     * Nanoseconds since the pool was made. busy_ns / wall_ns: mean concurrency, an estimate of the speed-up.
     */
    uint64_t wall_ns;
    /**
     * Zero.
     */
    uint64_t reserved[8];
} forq_pool_statistics;

/**
 * What one worker has done, with its predecessors in the same place.
 */
typedef struct forq_worker_statistics {
    /**
     * Its process id; 0 while it is being replaced.
     */
    int32_t pid;
    /**
     * Items run.
     */
    uint64_t items;
    /**
     * How often an item ended it.
     */
    uint64_t crashes;
    /**
     * Nanoseconds busy.
     */
    uint64_t busy_ns;
    /**
     * The other nanoseconds since the pool was made.
     */
    uint64_t idle_ns;
    /**
     * Zero.
     */
    uint64_t reserved[8];
} forq_worker_statistics;

/**
 * Makes a pool and waits until its workers have run the initializer. Make it early: descriptors that are open
 * now stay open in the workers; afterwards the process may start threads. stdio is flushed. If this is the only
 * thread, the pool's processes are not seen by the process's own wait calls and SIGCHLD handler; else one is.
 *
 * Returns 0; -EINVAL for NULL, more than 4094 workers, reserved fields not zero; -ECHILD if a worker could not start
 * or its initializer failed; -ENOMEM.
 */
int forq_pool_new(const struct forq_pool_options *options_or_null,
                  struct forq_pool **pool_out);

/**
 * Runs fn on one input and waits for its result.
 *
 * Returns what fn returned when >= 0; -ECHILD if it crashed, was lost or returned a negative value; -ETIMEDOUT, or -EAGAIN
 * if timeout_ns is 0: then it is cancelled; -EPERM in another process; -ESHUTDOWN after close; -EINVAL; -ENOMEM.
 */
int forq_pool_apply(struct forq_pool *p,
                    forq_task_fn fn,
                    const void *input,
                    size_t input_size,
                    void *output_out,
                    size_t output_size,
                    int64_t timeout_ns);

/**
 * Runs a job and waits for all its items. In every case the buffers are the caller's again on return.
 *
 * Returns 0 if all items are OK; -ECHILD if not, see statuses; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0: then
 * what was not done is cancelled, and what was being run is stopped by killing its worker; -EPERM in another process; -ESHUTDOWN after close; -EINVAL for NULL, sizes whose product overflows, reserved
 * fields not zero, a function that was not mapped when the pool was made; -ENOMEM if the job does not fit the arena.
 */
int forq_pool_map(struct forq_pool *p,
                  const struct forq_job *job,
                  int64_t timeout_ns);

/**
 * Takes no new work; workers leave when what is pending is done. Returns 0; -EPERM; -EINVAL.
 */
int forq_pool_close(struct forq_pool *p);

/**
 * Ends all workers: SIGTERM, and after half a second SIGKILL. Pending items are cancelled. Returns 0; -EPERM; -EINVAL.
 */
int forq_pool_terminate(struct forq_pool *p);

/**
 * Waits until all workers have ended.
 *
 * Returns 0; -EINVAL before close or terminate; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -EPERM.
 */
int forq_pool_join(struct forq_pool *p, int64_t timeout_ns);

/**
 * What a pool has done. Returns 0; -EPERM; -EINVAL.
 */
int forq_pool_stats(const struct forq_pool *p, struct forq_pool_statistics *stats_out);

/**
 * What one worker has done, from 0. Returns 0; -ERANGE if there are not so many; -EPERM; -EINVAL.
 */
int forq_pool_worker_stats(const struct forq_pool *p,
                           uint32_t worker,
                           struct forq_worker_statistics *stats_out);

/**
 * Ends a pool: terminates and reaps its workers; threads inside a call on it get -ECHILD first. In a forked child only
 * the child's copies are let go. NULL does nothing.
 */
void forq_pool_free(struct forq_pool *p);

#ifdef __cplusplus
}
#endif

#endif /* FORQ_H */
