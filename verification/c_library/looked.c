/* Where the kernel's list of held locks is not forq's (a library for glibc linked with musl, 32 bits, qemu-user): it works, and says so, and deaths
 * are found by looking. */
#include <errno.h>
#include <forq.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static forq_mutex *mutex;

static int die(void *unused) {
    (void)unused;
    if (forq_mutex_lock(mutex) != 0) return 1;
    raise(SIGKILL);
    return 1;
}

int main(void) {
    void *memory;
    forq_process child;
    int code;
    alarm(60);
    if (forq_shared_alloc(sizeof *mutex, &memory) != 0) return 1;
    mutex = memory;
    if (forq_process_spawn(&child, die, NULL, NULL) != 0 || forq_process_join(&child, &code, FORQ_FOREVER) != 0 || code != -SIGKILL) return 2;
    if (forq_mutex_lock(mutex) != -EOWNERDEAD || forq_mutex_consistent(mutex) != 0 || forq_mutex_unlock(mutex) != 0) return 3;
    printf("robust %d, and the death was told\n", forq_is_robust());
    return forq_is_robust() != 0;
}
