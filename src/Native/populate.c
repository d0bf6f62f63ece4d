/* The runtime's first act is to write the type data of the whole program, some 4 MB, into zeroed pages of the executable one word after the other: a
   thousand page faults, each of which may be slow in a virtual machine. One call brings them all, in large pages where the system gives them to programs that
   asks (/sys/kernel/mm/transparent_hugepage/enabled, madvise). */

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* include/uapi/asm-generic/mman-common.h, Linux 5.14 */
#endif

/* ld(1): from what is zero at the start to the end of the program's data. */
extern char __bss_start[], _end[];

__attribute__((constructor)) static void populate(void) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)__bss_start & ~(page - 1), to = ((uintptr_t)_end + page - 1) & ~(page - 1);
    (void)madvise((void *)from, to - from, MADV_HUGEPAGE);
    /* A kernel that does not know it leaves the pages to their faults. */
    (void)madvise((void *)from, to - from, MADV_POPULATE_WRITE);
}
