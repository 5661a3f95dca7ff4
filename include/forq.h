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
 * what it means); errno itself is left as it was. Outputs are written only on success. A bare code in a function's words has the
 * meaning it has here.
 *     -EAGAIN      a call with timeout 0 would have to wait
 *     -EBUSY       somebody uses it: trylock of a held mutex, close of a running process
 *     -ETIMEDOUT   the time ran out
 *     -EOWNERDEAD  the holder died; the lock is held
 *     -EDEADLK     waiting would never end
 *     -EPERM       not by this thread or process, or not while another one does
 *     -EOVERFLOW   released too often
 *     -EPIPE       the other end is gone; the barrier is broken
 *     -ESHUTDOWN   closed
 *     -EMSGSIZE    does not fit; the message stays
 *     -EPROTO      no forq queue or segment of this layout; a descriptor is next, not a message, or the other way round (it stays)
 *     -ECHILD      a worker, task or child was lost
 *     -ESRCH       the process has ended
 *     -ERANGE      index past the end
 *     -ENOENT      no such name, key or item
 *     -EEXIST      it exists already, or is of another size or kind
 *     -EINVAL      an argument is not valid: NULL, misaligned, zero, overflowing, out of order
 *     -EINTR       a signal handler ran, and this thread asked for it (forq_set_interruptible)
 *     -ENOSPC      no room left: in a segment, in /dev/shm; more waiters than can be counted
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
 * connection is this process's copy of an end: _close ends that, and the end is gone with the last copy. All other types are opaque: what makes
 * one is in its own words, _free ends this process's use of it, and _free(NULL) does nothing. No call uses the heap.
 *
 * Threads, processes, forks, signal handlers: who may use an object.
 *     object           threads of one process  other processes             the child of a fork                           in a signal handler
 *     forq_mutex       yes                     in MAP_SHARED memory        does not hold what its parent held            no
 *     forq_semaphore   yes                     in MAP_SHARED memory        may use it                                    _release
 *     forq_condvar     yes                     in MAP_SHARED memory        does not wait where its parent waits          no
 *     forq_event       yes                     in MAP_SHARED memory        may use it                                    _set, _is_set
 *     forq_barrier     yes                     in MAP_SHARED memory        has not come where its parent has             no
 *     forq_backoff     one thread each         no                          its own copy                                  no
 *     forq_array       yes                     children forked later       may use it, and frees its own use             no
 *     forq_value       yes                     children forked later       may use it, and frees its own use             no
 *     forq_queue       yes                     children; any, by _attach   may use it, by its own copy of the handle     no
 *     forq_channel     one a side at a time    children forked later       may use it, by its own copy of the handle     no
 *     forq_connection  yes                     each by its copy            has copies; but see forq_process_spawn_piped  no
 *     forq_process     one thread at a time    the one that spawned it     may ask and signal, not join (-EPERM)         _signal
 *     forq_pool        yes                     the one that made it        -EPERM, but for _free                         no
 *     forq_result      yes                     the one that made the pool  -EPERM, but for _free                         no
 *     forq_stream      yes                     the one that made the pool  -EPERM, but for _free                         no
 *     forq_segment     yes                     any program of the user     may use it, and frees its own use             no
 *     forq_list        yes                     as its manager              as its manager                                no
 *     forq_dict        yes                     as its manager              as its manager                                no
 *     forq_manager     yes                     any program of the user     may use it, and frees its own use             no
 * In a signal handler forq_strerror may be called, too. A child of vfork or of a raw clone calls nothing of forq. All users of an object
 * share one PID namespace. Nothing unwinds into C.
 *
 * Deaths. What a process that is killed leaves behind is said once, with each object's type.
 *
 * Parameters that say no more in a function's own words:
 *     timeout_ns       nanoseconds to wait at most; see Time
 *     X_out            where the result goes: written only on success, not NULL unless that is said; the size of what does not fit is told too
 *     X_or_null        may be NULL
 *     X_size           the bytes of X
 *     X_capacity       the bytes of room at X_out
 *     size             the bytes of what the pointer before it points at, or of what is made
 *     capacity         the bytes of room at buffer_out; of a queue or channel that is made, its messages
 *     count            how many there are, at the pointers before it
 *     index            the place in the list or array, from 0
 *     name             a string that ends with a zero byte
 *     fd               an open descriptor, which stays the caller's
 *     fds              open descriptors, which stay the caller's
 *     sizes            the bytes of each item
 *     waiters          how many of those who wait
 *     fn               what is run; it returns, and does not leave by longjmp or an exception
 *     argument         given to fn as it is
 *     delta            what is added
 *     initial          what it is copied from
 *     options          copied; all reserved fields are zero
 *     key              the bytes of a key; with key_size 0 it may be NULL
 *     value            the bytes of a value; with size 0 it may be NULL
 *     item             the bytes of an item; with size 0 it may be NULL
 *     message          the bytes of a message; with size 0 it may be NULL
 *     input            the bytes of an input; with size 0 it may be NULL
 *     element          an element's bytes: as many as the array's elements have
 *     handle           from forq_list_handle or forq_dict_handle
 *     cursor           where it is, kept by the caller
 *     memory           where it is, in this process
 */
#ifndef FORQ_H
#define FORQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Where such an object may begin: malloc does not see to it, static, automatic and mapped memory does. */
#define FORQ_ALIGNED(n) __attribute__((aligned(n)))

/** The version that this header is of. */
#define FORQ_VERSION_MAJOR 0
/** The version that this header is of. */
#define FORQ_VERSION_MINOR 1
/** The version that this header is of. */
#define FORQ_VERSION_PATCH 0
/** No time limit. */
#define FORQ_FOREVER INT64_C(-1)

/** The exit code of a process whose status somebody else collected, where the kernel no longer tells it. */
#define FORQ_EXIT_UNKNOWN INT32_MIN

#ifdef __cplusplus
extern "C" {
#endif

/* ==== The library as a whole, and shared memory ==== */

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
 * Returns 0; -EINVAL for NULL, size 0 or one that overflows; -ENOMEM.
 */
int forq_shared_alloc(size_t size, void **memory_out);

/**
 * Ends this process's use of memory from forq_shared_alloc, given its size. NULL does nothing.
 *
 * No thread of this process may hold a lock in it, or be inside a call on anything in it.
 * Returns 0; -EINVAL for an address or size that cannot be.
 */
int forq_shared_free(void *memory, size_t size);

/* ==== Mutual exclusion ==== */

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
 * Gives it a name of up to 63 bytes, which tools such as forq-top and forq-doctor show, instead of the one that it had; NULL or an empty one takes
 * that away. It stays with the place in shared memory, for all processes forked after the first name of any object was given, also when the object is no
 * more: where objects come and go, take it away before the memory is given back. Who is killed meanwhile has named it or not.
 *
 * Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
 * have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
 */
int forq_mutex_set_name(const struct forq_mutex *m,
                        const char *name);

/* ==== Permits ==== */

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
 * Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
 *
 * Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
 * have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
 */
int forq_semaphore_set_name(const struct forq_semaphore *s,
                            const char *name);

/* ==== Condition variables ==== */

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
 * Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
 *
 * Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
 * have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
 */
int forq_condvar_set_name(const struct forq_condvar *c,
                          const char *name);

/* ==== A flag to wait for ==== */

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
 * Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
 *
 * Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
 * have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
 */
int forq_event_set_name(const struct forq_event *e,
                        const char *name);

/* ==== A meeting point ==== */

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
 * Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
 *
 * Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
 * have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
 */
int forq_barrier_set_name(const struct forq_barrier *b,
                          const char *name);

/* ==== Exponential back-off ==== */

/**
 * Waits a little longer each time: five steps of 2 to 32 pauses (about 1.6 us in all), then ten yields,
 * then the verdict "sleep in the kernel". All bytes zero: ready. Belongs to one thread, and no death concerns it.
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

/* ==== Arrays in shared memory ==== */

/**
 * Elements of one size side by side in memory that this process and all that it forks later share, and a mutex.
 *
 * A process that is killed in a call on it has replaced the element or not, and nobody is told. One that is killed while it
 * holds the mutex itself is told of: forq_mutex_lock gives -EOWNERDEAD with the mutex held, and the calls here give it,
 * having done nothing, until somebody calls forq_mutex_consistent.
 */
typedef struct forq_array forq_array;

/**
 * Makes an array of length elements of element_size bytes: copies of those at initial_or_null, or zeroes. The first one is
 * 64-aligned, the others follow without a gap. Its mutex is recursive.
 *
 * Returns 0; -EINVAL for NULL, a size or length of 0, or a product that overflows; -ENOMEM.
 */
int forq_array_new(size_t element_size,
                   size_t length,
                   const void *initial_or_null,
                   struct forq_array **array_out);

/**
 * Ends this process's use of an array. NULL does nothing. While this process holds its mutex the memory stays.
 */
void forq_array_free(struct forq_array *a);

/**
 * How many elements it has; 0 for NULL.
 */
size_t forq_array_length(const struct forq_array *a);

/**
 * The elements themselves: for who holds the mutex, or wants none. NULL for NULL.
 */
void *forq_array_data(struct forq_array *a);

/**
 * Copies an element out, under the mutex.
 *
 * Returns 0; -ERANGE; -EOWNERDEAD if a holder died and nobody called forq_mutex_consistent since; -EINVAL.
 */
int forq_array_get(struct forq_array *a, size_t index, void *element_out);

/**
 * Replaces an element, under the mutex.
 *
 * Returns as forq_array_get.
 */
int forq_array_set(struct forq_array *a, size_t index, const void *element);

/**
 * Its mutex, which is recursive: who holds it may call the others. NULL for NULL.
 */
forq_mutex *forq_array_mutex(struct forq_array *a);

/* ==== Values in shared memory ==== */

/**
 * A value in memory that this process and all that it forks later share, and a mutex. What a death does is said at forq_array.
 */
typedef struct forq_value forq_value;

/**
 * Makes a value of size bytes: a copy of what is at initial_or_null, or zeroes. It is 64-aligned. Its mutex is recursive.
 *
 * Returns 0; -EINVAL for NULL, size 0 or one that overflows; -ENOMEM.
 */
int forq_value_new(size_t size,
                   const void *initial_or_null,
                   struct forq_value **value_out);

/**
 * Ends this process's use of a value. NULL does nothing. While this process holds its mutex the memory stays.
 */
void forq_value_free(struct forq_value *v);

/**
 * Copies the value out, under the mutex.
 *
 * Returns 0; -EOWNERDEAD if a holder died and nobody called forq_mutex_consistent since; -EINVAL.
 */
int forq_value_get(struct forq_value *v, void *value_out);

/**
 * Replaces the value, under the mutex.
 *
 * Returns as forq_value_get.
 */
int forq_value_set(struct forq_value *v, const void *value);

/**
 * Adds to a value that is an int64_t, under the mutex; it wraps. No addition is lost or doubled, whoever dies.
 *
 * Returns 0, and what it was; -EINVAL if its size is not 8, for NULL; -EOWNERDEAD as forq_value_get.
 */
int forq_value_add_i64(struct forq_value *v,
                       int64_t delta,
                       int64_t *before_out_or_null);

/**
 * Adds to a value that is a double, under the mutex.
 *
 * Returns as forq_value_add_i64.
 */
int forq_value_add_f64(struct forq_value *v, double delta, double *before_out_or_null);

/**
 * The value itself: for who holds the mutex, or wants none. NULL for NULL.
 */
void *forq_value_data(struct forq_value *v);

/**
 * Its mutex, which is recursive: who holds it may call the others. NULL for NULL.
 */
forq_mutex *forq_value_mutex(struct forq_value *v);

/* ==== Bounded queues ==== */

/**
 * A bounded first-in first-out queue in shared memory: any number of producers and consumers, threads of any processes.
 *
 * Messages have a length each, up to a limit. When a put has returned, every process sees the message; what one producer puts comes
 * out in its order. Putting waits while the queue is full, getting while it is empty.
 *
 * Deaths: nobody hangs, no message is torn or doubled, and at most the one in the dead one's hands (of a batch: those) is gone.
 * A put that had not returned may have arrived or not; what a consumer took and died with stays unfinished for
 * forq_queue_join. A process that is stopped while it waits stops nobody.
 *
 * A handle holds in every later fork, where it is used and freed like the parent's.
 */
typedef struct forq_queue forq_queue;

/**
 * What a queue has done since it was made.
 */
typedef struct forq_queue_statistics {
    /**
     * Messages put.
     */
    uint64_t put;
    /**
     * Messages taken out, those lost included.
     */
    uint64_t got;
    /**
     * Messages taken out by a process that died before its call had returned: as many as can be seen.
     */
    uint64_t lost;
    /**
     * Calls that had to wait for room.
     */
    uint64_t full_waits;
    /**
     * Calls that had to wait for a message.
     */
    uint64_t empty_waits;
    /**
     * Zero.
     */
    uint64_t reserved[8];
} forq_queue_statistics;

/**
 * Makes an empty queue for capacity messages of up to message_size bytes, in memory of its own, which every later fork shares. Pages
 * come with their first use.
 *
 * Returns 0; -EINVAL for NULL, 0, more than 2^31 messages or 2^32 - 1 bytes, or a product that overflows; -ENOMEM.
 */
int forq_queue_new(size_t capacity,
                   size_t message_size,
                   struct forq_queue **queue_out);

/**
 * The bytes that forq_queue_init needs; 0 if there can be no such queue.
 */
size_t forq_queue_required_size(size_t capacity, size_t message_size);

/**
 * Makes an empty queue in the caller's memory, 64-aligned and mapped MAP_SHARED, which is never freed. Others that have mapped it, at
 * whatever address, find the queue by forq_queue_attach.
 *
 * Returns 0; -EINVAL for NULL, memory that is misaligned or smaller than forq_queue_required_size says, or as forq_queue_new; -ENOMEM.
 */
int forq_queue_init(void *memory,
                    size_t size,
                    size_t capacity,
                    size_t message_size,
                    struct forq_queue **queue_out);

/**
 * Finds a queue that forq_queue_init has made in this memory, by this process or another.
 *
 * Returns 0; -EPROTO if there is none, or one of another version of forq; -EINVAL for NULL or misaligned memory; -ENOMEM.
 */
int forq_queue_attach(void *memory,
                      size_t size,
                      struct forq_queue **queue_out);

/**
 * Ends this process's use of a queue, which no thread of it uses any more. NULL: nothing. The messages stay with whoever maps the memory;
 * the caller's memory is never freed.
 */
void forq_queue_free(struct forq_queue *q);

/**
 * Puts a message of size bytes, waiting for room for at most timeout_ns. (NULL, 0) is an empty one.
 *
 * Returns 0; -EMSGSIZE if it is too large; -ESHUTDOWN after forq_queue_close; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -EINTR, see
 * forq_set_interruptible; -EDEADLK in a signal handler that interrupted another call on the queue; -EPROTO if a stranger has
 * written into the queue; -EINVAL. Otherwise than by 0, nothing was put.
 */
int forq_queue_put(struct forq_queue *q,
                   const void *message,
                   size_t size,
                   int64_t timeout_ns);

/**
 * Takes the next message into a buffer, waiting for one for at most timeout_ns.
 *
 * size_out: its size; NULL if that is not wanted. A message that does not fit stays: -EMSGSIZE, and size_out is the size needed.
 * Returns 0; -EMSGSIZE; -ESHUTDOWN if the queue is closed and nothing is left; else as forq_queue_put.
 */
int forq_queue_get(struct forq_queue *q,
                   void *buffer_out,
                   size_t capacity,
                   size_t *size_out,
                   int64_t timeout_ns);

/**
 * How many messages are in the queue now, also after it was closed. -EINVAL.
 */
int forq_queue_len(const struct forq_queue *q);

/**
 * No more puts, here or anywhere: they give -ESHUTDOWN, those that wait included; gets take what is left, then give it too.
 *
 * Returns 0, also when it was closed before; -EINVAL.
 */
int forq_queue_close(struct forq_queue *q);

/**
 * Marks one of the messages that were taken as done, for forq_queue_join.
 *
 * Returns 0; -EOVERFLOW if as many have been marked as were put; -EINVAL.
 */
int forq_queue_task_done(struct forq_queue *q);

/**
 * Waits until every message put has been marked done, for at most timeout_ns. What a consumer took and died with stays unfinished.
 *
 * Returns 0; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -EINTR; -EINVAL.
 */
int forq_queue_join(struct forq_queue *q,
                    int64_t timeout_ns);

/**
 * What the queue has done. Counts read while it is in use may be of slightly different moments.
 *
 * Returns 0; -EINVAL.
 */
int forq_queue_stats(const struct forq_queue *q, struct forq_queue_statistics *stats_out);

/**
 * Puts count messages of size bytes each that lie side by side, one after the other, waiting for room for at most timeout_ns in all.
 * For the price of one lock: no other producer's come between, unless the queue fills up.
 *
 * done_out: how many were put: all, or fewer if an error came after the first one.
 * Returns 0; else as forq_queue_put: none was put.
 */
int forq_queue_put_many(struct forq_queue *q,
                        const void *messages,
                        size_t size,
                        size_t count,
                        size_t *done_out,
                        int64_t timeout_ns);

/**
 * Takes what messages there are, at most max, waiting for the first one for at most timeout_ns. Each must be of exactly size bytes: it
 * stops before one that is not.
 *
 * done_out: how many were taken.
 * Returns 0; -EMSGSIZE if the first one is not of that size; else as forq_queue_get: none was taken.
 */
int forq_queue_get_many(struct forq_queue *q,
                        void *buffer_out,
                        size_t size,
                        size_t max,
                        size_t *done_out,
                        int64_t timeout_ns);

/**
 * A descriptor of this process that is readable while there may be messages, or the queue is closed: for poll, epoll and forq_wait, not for
 * reading; the queue's. Made at the first call; until somebody asks for one it costs nothing. Who finds it readable calls forq_queue_get with
 * timeout 0 until that gives -EAGAIN, which makes it unreadable. It is a datagram socket, so that processes that were there before reach
 * it, too.
 *
 * Returns the descriptor; -ENOMEM without descriptors; -ENOSPC if 32 processes have one; -EINVAL. From then on, a put that ends emptiness gives
 * -ENOMEM if its process has no descriptor left to tell by.
 */
int forq_queue_fd(struct forq_queue *q);

/**
 * Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
 *
 * Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
 * have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
 */
int forq_queue_set_name(const struct forq_queue *q,
                        const char *name);

/* ==== Channels ==== */

/**
 * A ring of messages in shared memory: one producer, one consumer, threads of any processes. Messages have a size each, up to a limit.
 *
 * Each side is used by one thread at a time: to see to that is the callers' duty, within a process and between processes. Another process
 * takes a side over by calling it, when the one before is not inside a call, or is dead; a call while it is gives -EPERM, and so does one
 * that would have to wait while another thread of its process is in a call. This finds mistakes, but is no lock: of two that
 * begin at the same instant both may be let in, and then messages are lost. A thread must not end inside a call. Between reserve and commit, and between peek and release, a call is under way.
 *
 * While the channel is neither full nor empty a put or a get is a fixed number of instructions, none of them locked, whatever the other
 * side does, be it stopped or killed.
 *
 * Deaths: nobody hangs, and no message is torn or doubled. A put that had not returned may have arrived or not; a message whose get had not
 * returned is there for the next consumer, or it was taken. A call that has to wait for a side whose process has ended, or has freed the
 * channel, gives a successor half a second to come; then it gives -EPIPE. Whenever another process takes that side over all goes on.
 *
 * A handle holds in every later fork, where it is used and freed like the parent's.
 */
typedef struct forq_channel forq_channel;

/**
 * Makes an empty channel for capacity messages of up to message_size bytes, in memory of its own, which every later fork shares. Pages
 * come with their first use.
 *
 * Returns 0; -EINVAL for NULL, 0, a capacity above 2^32 - 1, or a product that overflows; -ENOMEM.
 */
int forq_channel_new(size_t capacity,
                     size_t message_size,
                     struct forq_channel **channel_out);

/**
 * Ends this process's use of a channel, on which no thread of it is in a call any more. NULL does nothing.
 *
 * The sides that this process used last have nobody then: the other side's calls that have to wait give -EPIPE, unless another process
 * takes over. Messages stay.
 */
void forq_channel_free(struct forq_channel *c);

/**
 * Puts a message, waiting for room for at most timeout_ns. (NULL, 0) is an empty one, which is not the end.
 *
 * Returns 0; -EMSGSIZE if it is larger than messages may be; -ESHUTDOWN; -EAGAIN or -ETIMEDOUT; -EPIPE if there is no room and the
 * consumer is gone; -EPERM if another one is just putting; -EPROTO if the shared memory holds what cannot be; -EINVAL, also between reserve and
 * commit.
 */
int forq_channel_put(struct forq_channel *c,
                     const void *message,
                     size_t size,
                     int64_t timeout_ns);

/**
 * Takes the next message into a buffer, waiting for it for at most timeout_ns.
 *
 * size_out: its size. A message that does not fit stays: -EMSGSIZE, and size_out is the size needed, so (NULL, 0) asks for it (an empty message
 * fits, and is taken).
 * Returns 0; -EMSGSIZE; -ESHUTDOWN if the channel is closed and nothing is left; -EAGAIN or -ETIMEDOUT; -EPIPE if nothing is left and the producer
 * is gone; -EPERM if another one is just getting; -EPROTO if the shared memory holds what cannot be; -EINVAL, also between peek and release.
 */
int forq_channel_get(struct forq_channel *c,
                     void *buffer_out,
                     size_t capacity,
                     size_t *size_out,
                     int64_t timeout_ns);

/**
 * Gives a place in the channel to write the next message to, waiting for room for at most timeout_ns: no copy is made.
 *
 * slot_out: message_size bytes, aligned as an array of types of message_size bytes would be (from 1024 bytes on to 64). What stands there is
 * left from earlier messages. Until forq_channel_commit the same place is given again; in a process that is killed, nothing was put.
 * Returns as forq_channel_put.
 */
int forq_channel_reserve(struct forq_channel *c,
                         void **slot_out,
                         int64_t timeout_ns);

/**
 * Puts the message that was written to the reserved place: its first size bytes.
 *
 * Returns 0; -EMSGSIZE if the place has fewer: it stays reserved; -ESHUTDOWN: it is given up; -EINVAL if this process has reserved none.
 */
int forq_channel_commit(struct forq_channel *c,
                        size_t size);

/**
 * Gives the next message where it is, waiting for it for at most timeout_ns: no copy is made.
 *
 * message_out and size_out: the message, which stays there until forq_channel_release; until then the same is given again. In a process
 * that is killed, it was not taken.
 * Returns as forq_channel_get, but -EMSGSIZE.
 */
int forq_channel_peek(struct forq_channel *c,
                      const void **message_out,
                      size_t *size_out,
                      int64_t timeout_ns);

/**
 * Takes the message that forq_channel_peek gave: its place may be used for another one.
 *
 * Returns 0; -EINVAL if this process has looked at none.
 */
int forq_channel_release(struct forq_channel *c);

/**
 * No more messages are put: puts give -ESHUTDOWN; gets what is left, then -ESHUTDOWN. Wakes who waits. Again: changes nothing.
 *
 * Any process may close it, in a call of a side or not. One that is killed in it has closed the channel or has not.
 * Returns 0; -EINVAL.
 */
int forq_channel_close(struct forq_channel *c);

/**
 * Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
 *
 * Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
 * have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
 */
int forq_channel_set_name(const struct forq_channel *c,
                          const char *name);

/* ==== Pipes ==== */

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
    void *_inboxes;
    /**
     * Not for users.
     */
    const void *_slot;
    /**
     * The descriptor, plus one.
     */
    int32_t _descriptor;
    /**
     * Not for users.
     */
    uint32_t _direction;
    /**
     * Not for users.
     */
    uint64_t _end;
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
 * The largest message so far waits, besides, for the end of a forq_connection_recv that is just at work at the other end.
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

/* ==== Processes ==== */

/**
 * A child process. Declared by the caller; all bytes zero: none. It may be moved, is copied by fork, does
 * not belong in shared memory, and is used by one thread at a time.
 *
 * A process that is neither joined nor closed runs on. In a forked child the copy may ask and signal, but not join.
 *
 * However it dies, forq_process_join tells. It outlives its parent, unless it is a daemon.
 */
typedef struct forq_process {
    /**
     * Not for users.
     */
    uint64_t _generation;
    /**
     * Not for users.
     */
    int32_t _pid;
    /**
     * The descriptor, plus one.
     */
    int32_t _descriptor;
    /**
     * Not for users.
     */
    int32_t _ended;
    /**
     * Not for users.
     */
    int32_t _exit_code;
    /**
     * Not for users.
     */
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

/* ==== Worker pools. What they have done: `pool_statistics` ==== */

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
 *
 * A worker that dies costs the item in its hands, and is replaced. If the process that replaces them is killed, the pool is broken, and what is
 * pending ends CRASHED. When the process that made the pool dies, its workers do.
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
     * After how many items a worker is replaced, so that what tasks leave behind does not pile up; 0: never.
     */
    uint32_t max_tasks_per_worker;
    /**
     * How often an item is tried whose worker died; 0 or 1: once.
     */
    uint32_t max_attempts;
    /**
     * Nanoseconds that an item may run: then its worker is killed and replaced, the item TIMED_OUT and not tried again. 0: for
     * ever; negative: -EINVAL.
     */
    int64_t task_timeout_ns;
    /**
     * Bytes of address space for inputs and results of jobs in flight, used as needed; 0: as much as the machine has memory, but no
     * more than a quarter of the address space that the process may have (RLIMIT_AS).
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
     * SIGINT to the process group is the host's business; else it cancels what is pending and breaks the pool.
     */
    bool ignore_interrupt;
    /**
     * Each worker stays on one CPU of those that this process may use: the first on the first, and around. The scheduler mostly
     * does as well.
     */
    bool pinned;
    /**
     * Must be zero.
     */
    uint64_t reserved[8];
} forq_pool_options;

/**
 * A task: reads input, writes output, may read the job's context; each is NULL if it has no size. Returns 0, or its own code > 0.
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
     * Items a worker takes at a time; 0: chosen by the pool. A worker that has taken long for some of them leaves half of the rest to one
     * that has nothing to do.
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
 * Ends a pool: terminates and reaps its workers; threads inside a call on it get -ECHILD first. In a forked child only
 * the child's copies are let go. NULL does nothing.
 */
void forq_pool_free(struct forq_pool *p);

/**
 * Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
 *
 * Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
 * have names; -ENOMEM, also without descriptors; -ENOSYS without /proc; -EPERM in another process than the pool's maker.
 */
int forq_pool_set_name(const struct forq_pool *p,
                       const char *name);

/* ==== What pools and their workers have done ==== */

/**
 * What a pool has done since it was made. A worker that dies is counted, and replaced.
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
 * What one worker has done, with its predecessors in the same place: numbers outlive who dies.
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
 * What a pool has done. Returns 0; -EPERM; -EINVAL.
 */
int forq_pool_stats(const forq_pool *p, struct forq_pool_statistics *stats_out);

/**
 * What one worker has done, from 0. Returns 0; -ERANGE if there are not so many; -EPERM; -EINVAL.
 */
int forq_pool_worker_stats(const forq_pool *p, uint32_t worker, struct forq_worker_statistics *stats_out);

/* ==== Results of work that nobody waits for yet ==== */

/**
 * The result of forq_pool_apply_async or forq_pool_map_async: kept until it is freed, also after its pool was. Belongs to the
 * process that made the pool: in others, every call but forq_result_free gives -EPERM. Any of its threads may use it.
 * What a death does is said at forq_pool.
 */
typedef struct forq_result forq_result;

/**
 * Has fn run on one input, and returns at once: the input is copied.
 *
 * Returns 0; -EPERM in another process; -ESHUTDOWN after close; -ECHILD if the pool is broken; -EINVAL; -ENOMEM if too many
 * results are kept, or they fill the arena.
 */
int forq_pool_apply_async(forq_pool *p,
                          forq_task_fn fn,
                          const void *input,
                          size_t input_size,
                          size_t output_size,
                          struct forq_result **result_out);

/**
 * Has a job run, and returns at once: inputs and context are copied. Its outputs and statuses must be NULL: forq_result_get
 * gives them.
 *
 * Returns as forq_pool_apply_async.
 */
int forq_pool_map_async(forq_pool *p,
                        const forq_job *job,
                        struct forq_result **result_out);

/**
 * Waits until the result is ready: all its items have ended, in whatever way.
 *
 * Returns 0; -ECHILD if the pool ended before all was done: then it is ready too; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -EPERM; -EINVAL.
 */
int forq_result_wait(struct forq_result *r,
                     int64_t timeout_ns);

/**
 * Whether the result is ready: 1 or 0. Never waits. -EPERM; -EINVAL.
 */
int forq_result_ready(const struct forq_result *r);

/**
 * Waits for the result and copies it out: outputs_out has room for all outputs, or is NULL if they have no size; statuses_out has room
 * for a status of each item, or is NULL. May be called again, and gives the same. The outputs of items that crashed or were not run
 * are not written.
 *
 * Of a map: returns 0 if all items are OK; -ECHILD if not, see the statuses. Of an apply: what fn returned when >= 0; else -ECHILD.
 * -ETIMEDOUT, or -EAGAIN if timeout_ns is 0: then nothing is changed, and the work goes on. -EPERM; -EINVAL.
 */
int forq_result_get(struct forq_result *r,
                    void *outputs_out,
                    forq_task_status *statuses_out,
                    int64_t timeout_ns);

/**
 * Stops what has not ended: items that nobody has begun are cancelled; the workers of those that are being run are killed and replaced.
 * Waits until they are. Then the result is ready: what had been done stays done.
 *
 * Returns 0 if anything was stopped; -EBUSY if all had ended; -EPERM; -EINVAL.
 */
int forq_result_cancel(struct forq_result *r);

/**
 * A descriptor that is readable once the result is ready, for poll, epoll and forq_wait; the same each time. It belongs to the result and
 * is closed with it; nothing is to be read from it. -EPERM; -EINVAL; -ENOMEM if descriptors are exhausted.
 */
int forq_result_fd(struct forq_result *r);

/**
 * Lets go: what is being run and what waits to be run goes on, its outputs are dropped. Before or after forq_pool_free. NULL does nothing.
 */
void forq_result_free(struct forq_result *r);

/* ==== Streams of items through a pool ==== */

/**
 * Items put one by one, results taken one by one, in their order or as they come; any of the process's threads may do either. Kept until it is
 * freed, also after its pool was. In a forked child every call but forq_stream_free gives -EPERM.
 * What a death does is said at forq_pool.
 */
typedef struct forq_stream forq_stream;

/**
 * What a stream is made with.
 */
typedef struct forq_stream_options {
    /**
     * What is run on each item. It must have been mapped before the pool was made.
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
     * Bytes of an input; 0: none.
     */
    size_t input_size;
    /**
     * Bytes of an output; 0: none.
     */
    size_t output_size;
    /**
     * How many items may be put more than results were taken: 1 to 2^31.
     */
    size_t window;
    /**
     * Results come in the order of the items; else as they are ready.
     */
    bool ordered;
    /**
     * Must be zero.
     */
    uint64_t reserved[8];
} forq_stream_options;

/**
 * Opens a stream. At most a window of items is between the two ends, so both may be endless.
 *
 * Returns 0; -EPERM in another process; -ESHUTDOWN after close; -ECHILD if the pool is broken; -EINVAL for NULL, a window of 0 or too large,
 * reserved fields not zero, a function that was not mapped when the pool was made; -ENOMEM if it does not fit the arena.
 */
int forq_pool_stream(forq_pool *p,
                     const struct forq_stream_options *options,
                     struct forq_stream **stream_out);

/**
 * Puts an item, copied; waits while the window is full: a thread that is alone must take results in between.
 *
 * Returns 0; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -ESHUTDOWN after finish, or after the pool was closed; -ECHILD if the pool is broken;
 * -EPERM; -EINVAL.
 */
int forq_stream_put(struct forq_stream *s,
                    const void *input,
                    int64_t timeout_ns);

/**
 * No more items: after the last result comes the end. Returns 0; -EPERM; -EINVAL.
 */
int forq_stream_finish(struct forq_stream *s);

/**
 * Takes the next result: the number of its item, counted from 0; its output, unless it crashed or was not run; how it ended. index_out and
 * status_out may be NULL.
 *
 * Returns 0, whatever the status says; without status_out, -ECHILD if the item is not OK; -ESHUTDOWN at the end: all results were taken, and the
 * stream was finished or the pool closed; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -ECHILD if the pool is broken and nothing is left;
 * -EPERM; -EINVAL.
 */
int forq_stream_next(struct forq_stream *s,
                     uint64_t *index_out,
                     void *output_out,
                     forq_task_status *status_out,
                     int64_t timeout_ns);

/**
 * Ends a stream: items that nobody has begun are not run, results that were not taken are dropped. Before or after forq_pool_free. NULL does
 * nothing.
 */
void forq_stream_free(struct forq_stream *s);

/* ==== Segments ==== */

/**
 * Memory that unrelated programs share, by name or by descriptor, and objects in it, found or made by name.
 *
 * A named segment is the file forq-NAME in /dev/shm, for its user alone (mode 0600). It appears whole or not at all, whenever its creator is
 * killed, and stays until forq_segment_unlink. A name is 1 to 200 bytes without '/', not "." or ".."; links are not followed.
 */
typedef struct forq_segment forq_segment;

/**
 * Makes a named segment with room for size bytes of objects and what is kept about them, rounded up to whole pages. All of its memory
 * is set aside at once, so that using it cannot fail, unless a process of the same user truncates the file.
 *
 * Returns 0; -EEXIST; -ENOSPC if /dev/shm has no room; -EINVAL for NULL, a bad name, a size of 0 or one that overflows; -ENOMEM without
 * descriptors; -ENOSYS without /dev/shm or /proc.
 */
int forq_segment_create(const char *name,
                        size_t size,
                        struct forq_segment **segment_out);

/**
 * Opens a named segment, from any program of the same user and PID namespace.
 *
 * Returns 0; -ENOENT; -EPROTO if the file is no segment of this version of forq and of this user, or is a link; -EPERM if it may not be opened;
 * -ENOSPC if it has holes that cannot be filled; -EINVAL; -ENOMEM.
 */
int forq_segment_open(const char *name,
                      struct forq_segment **segment_out);

/**
 * Makes a segment without a name: shared with later forks, and with whom its descriptor is given to. Nobody can shrink it. Its memory comes
 * with its use.
 *
 * Returns 0; -EINVAL; -ENOMEM if the machine has not so much.
 */
int forq_segment_anonymous(size_t size,
                           struct forq_segment **segment_out);

/**
 * Opens the segment behind a descriptor that another program gave (forq_connection_send_fd). The descriptor stays the caller's.
 *
 * Returns as forq_segment_open; -EINVAL if it is no descriptor.
 */
int forq_segment_from_fd(int fd,
                         struct forq_segment **segment_out);

/**
 * The segment's descriptor, to give to another program; it stays the segment's. -EINVAL for NULL.
 */
int forq_segment_fd(const struct forq_segment *s);

/**
 * Takes the name away, a manager's too. Who has it open goes on using it.
 *
 * Returns 0; -ENOENT; -EPERM; -EINVAL.
 */
int forq_segment_unlink(const char *name);

/**
 * Ends this process's use of a segment; its objects are not to be used here any more. NULL does nothing.
 */
void forq_segment_free(struct forq_segment *s);

/**
 * Finds the object of this name, or makes it: zeroed, 64-aligned. Of all that ask at once, in whatever processes, exactly one makes it. It stays
 * as long as the segment.
 *
 * Returns 1 when it was made, 0 when it was found; -EEXIST if there is one of another size; -ENOSPC; -EPROTO if the segment
 * was scribbled over; -EINVAL for NULL, size 0 or a bad name.
 */
int forq_segment_object(struct forq_segment *s,
                        const char *name,
                        size_t size,
                        void **object_out);

/* ==== Shared lists ==== */

/**
 * A list of byte strings in a manager's memory. What every call may return besides, and what a death does, is said at forq_manager.
 */
typedef struct forq_list forq_list;

/**
 * Puts an item at the end.
 *
 * Returns 0; -ENOSPC; -EINVAL.
 */
int forq_list_push(struct forq_list *l, const void *item, size_t size);

/**
 * Copies an item out.
 *
 * Returns 0, and its size; -ERANGE; -EMSGSIZE if it does not fit: *size_out tells its size; -EINVAL.
 */
int forq_list_get(struct forq_list *l, size_t index, void *buffer_out, size_t capacity, size_t *size_out);

/**
 * Replaces an item.
 *
 * Returns 0; -ERANGE; -ENOSPC; -EINVAL.
 */
int forq_list_set(struct forq_list *l, size_t index, const void *item, size_t size);

/**
 * Puts an item before the one of this index, and moves that and those after it; at the length, as forq_list_push.
 *
 * Returns 0; -ERANGE; -ENOSPC; -EINVAL.
 */
int forq_list_insert(struct forq_list *l,
                     size_t index,
                     const void *item,
                     size_t size);

/**
 * Takes an item away, and moves those after it.
 *
 * Returns 0; -ERANGE; -EINVAL.
 */
int forq_list_remove(struct forq_list *l, size_t index);

/**
 * Takes the last item.
 *
 * Returns 0, and its size; -ENOENT if there is none; -EMSGSIZE if it does not fit: it stays, and *size_out tells its size; -EINVAL.
 */
int forq_list_pop(struct forq_list *l,
                  void *buffer_out,
                  size_t capacity,
                  size_t *size_out);

/**
 * How many items there are; -EINVAL.
 */
int forq_list_len(const struct forq_list *l);

/**
 * Takes all items away.
 *
 * Returns 0; -EINVAL.
 */
int forq_list_clear(struct forq_list *l);

/**
 * Puts count items at the end: all or none.
 *
 * Returns 0; -ENOSPC; -EINVAL.
 */
int forq_list_extend(struct forq_list *l, const void *const *items, const size_t *sizes, size_t count);

/**
 * What stands for this list in other collections of the same manager, in any process: see forq_manager_list_of. 0 for NULL.
 */
uint64_t forq_list_handle(const struct forq_list *l);

/* ==== Shared dicts ==== */

/**
 * A dict of byte strings in a manager's memory, spread over parts that are locked one at a time. Keys have at most 4096 bytes; longer ones are -EINVAL. What
 * every call may return besides, and what a death does, is said at forq_manager.
 */
typedef struct forq_dict forq_dict;

/**
 * What forq_dict_update calls: value holds *size bytes of at most capacity if found is not 0, else nothing. Returns 0 to
 * store the *size bytes that it leaves there; else the value stays, and the update returns that.
 */
typedef int (*forq_update_fn)(void *value, size_t capacity, size_t *size, int found, void *argument);

/**
 * Gives a key a value, whether or not it has one.
 *
 * Returns 0; -ENOSPC; -EINVAL.
 */
int forq_dict_set(struct forq_dict *d,
                  const void *key,
                  size_t key_size,
                  const void *value,
                  size_t value_size);

/**
 * Copies a key's value out.
 *
 * Returns 0, and its size; -ENOENT; -EMSGSIZE if it does not fit: *size_out tells its size; -EINVAL.
 */
int forq_dict_get(struct forq_dict *d,
                  const void *key,
                  size_t key_size,
                  void *buffer_out,
                  size_t capacity,
                  size_t *size_out);

/**
 * Takes an entry away.
 *
 * Returns 0; -ENOENT; -EINVAL.
 */
int forq_dict_remove(struct forq_dict *d, const void *key, size_t key_size);

/**
 * Whether a key has a value: 1 or 0; -EINVAL.
 */
int forq_dict_contains(struct forq_dict *d, const void *key, size_t key_size);

/**
 * How many entries there are; while others change it, the sum of what its parts held at neighbouring moments. -EINVAL.
 */
int forq_dict_len(const struct forq_dict *d);

/**
 * Takes all entries away, at one moment.
 *
 * Returns 0; -EINVAL.
 */
int forq_dict_clear(struct forq_dict *d);

/**
 * Copies the entry at the cursor out, and moves the cursor past it. A cursor starts at 0, and is good in any process.
 *
 * Entries come in the order of their keys' hashes, which never changes. One that is there throughout comes exactly once, one that
 * is set or removed meanwhile at most once.
 *
 * Returns 1, and both sizes; 0 at the end; -EMSGSIZE if the key or the value does not fit: both sizes are told, and the cursor stays; -EINVAL.
 */
int forq_dict_next(struct forq_dict *d,
                   uint64_t *cursor,
                   void *key_out,
                   size_t key_capacity,
                   size_t *key_size_out,
                   void *value_out,
                   size_t value_capacity,
                   size_t *value_size_out);

/**
 * Changes a key's value by what fn makes of a copy in scratch, which has room for capacity bytes: under the lock, so that nothing happens in between.
 * fn must not use the same manager (-EDEADLK), nor leave by longjmp. A process killed in it has changed nothing.
 *
 * Returns 0; what fn returned, if that was not 0; -EMSGSIZE if the value does not fit in scratch (fn is not called), or fn
 * set *size to more than capacity; -ENOSPC; -EINVAL.
 */
int forq_dict_update(struct forq_dict *d,
                     const void *key,
                     size_t key_size,
                     void *scratch,
                     size_t capacity,
                     forq_update_fn fn,
                     void *argument);

/**
 * What stands for this dict in other collections of the same manager, in any process: see forq_manager_dict_of. 0 for NULL.
 */
uint64_t forq_dict_handle(const struct forq_dict *d);

/* ==== Managers ==== */

/**
 * Lists and dicts of byte strings in shared memory, found by name; no server process. The memory is that of a segment, with what is said
 * there of names, rights and forks. It has a fixed size: what does not fit is refused with -ENOSPC and changes nothing; remove, pop
 * and clear need no space.
 *
 * A process killed at any instruction of any operation leaves the collection as it was before or after that operation, loses no other
 * entry, and leaks no memory once the next operation on that collection has run. Nobody is told, since nothing is left to repair.
 *
 * Every call on a manager, list or dict may also return -EDEADLK (called in a function that forq_dict_update of the same manager calls) and -EPROTO
 * (the memory was scribbled over).
 */
typedef struct forq_manager forq_manager;

/**
 * Makes a manager for this process and those forked later, with size bytes, from 65536 on, which come with their use.
 *
 * Returns 0; -EINVAL for NULL, or a size that is smaller or overflows; -ENOMEM.
 */
int forq_manager_new(size_t size,
                     struct forq_manager **manager_out);

/**
 * Makes a manager that other programs find by its name, with size bytes, from 65536 on, set aside at once.
 *
 * Returns as forq_segment_create.
 */
int forq_manager_create(const char *name, size_t size, struct forq_manager **manager_out);

/**
 * Opens a manager that another program of the same user created. forq_segment_unlink takes its name away.
 *
 * Returns as forq_segment_open.
 */
int forq_manager_open(const char *name, struct forq_manager **manager_out);

/**
 * Opens the manager behind a descriptor that another program gave (forq_connection_send_fd). The descriptor stays the caller's.
 *
 * Returns as forq_segment_from_fd.
 */
int forq_manager_from_fd(int fd,
                         struct forq_manager **manager_out);

/**
 * The manager's descriptor, to give to another program; it stays the manager's. -EINVAL for NULL.
 */
int forq_manager_fd(const struct forq_manager *m);

/**
 * Ends this process's use of a manager, its lists and dicts. NULL does nothing.
 */
void forq_manager_free(struct forq_manager *m);

/**
 * Finds the list of this name, or makes it, empty. It belongs to the manager, holds in later forks, and needs no free. The same name gives the same pointer.
 *
 * Returns 0; -EEXIST if the name is a dict's; -ENOSPC; -EINVAL for NULL or a bad name: what is one is said at forq_segment.
 */
int forq_manager_list(struct forq_manager *m,
                      const char *name,
                      forq_list **list_out);

/**
 * Finds the dict of this name, or makes it, empty; as forq_manager_list.
 *
 * Returns as that; -EEXIST if the name is a list's.
 */
int forq_manager_dict(struct forq_manager *m, const char *name, forq_dict **dict_out);

/**
 * Makes a list without a name, to be put in other collections by its handle (forq_list_handle). It stays as long as the manager's memory.
 *
 * Returns 0; -ENOSPC; -EINVAL.
 */
int forq_manager_list_new(struct forq_manager *m,
                          forq_list **list_out);

/**
 * Makes a dict without a name; as forq_manager_list_new.
 */
int forq_manager_dict_new(struct forq_manager *m, forq_dict **dict_out);

/**
 * The list that a handle stands for, in any process that has the manager.
 *
 * Returns 0; -EPROTO if it is no list of this manager; -EINVAL.
 */
int forq_manager_list_of(struct forq_manager *m, uint64_t handle, forq_list **list_out);

/**
 * The dict that a handle stands for; as forq_manager_list_of.
 */
int forq_manager_dict_of(struct forq_manager *m, uint64_t handle, forq_dict **dict_out);

/**
 * Bytes that a manager's collections use, with what is kept beside them, and that they may use in all.
 *
 * Returns 0; -EINVAL.
 */
int forq_manager_space(struct forq_manager *m, size_t *used_out, size_t *capacity_out);

#ifdef __cplusplus
}
#endif

#endif /* FORQ_H */
