// peer: the same system calls without any other work, as a baseline for the benchmarks. Prints one line of numbers.
//
//   peer run FILE PROGRAM…     NANOSECONDS MICROSECONDS    runs PROGRAM with its output in FILE: wall time, CPU time
//   peer dump                  NANOSECONDS SOCKETS         sock_diag, all connected TCP sockets of this namespace with struct tcp_info
//   peer read PID FIRST LAST   NANOSECONDS SOCKETS         of each descriptor: getfd, cookie, 4 × getsockopt, close; processor time
//   peer set PID FIRST LAST    NANOSECONDS SOCKETS         the same, and 4 × setsockopt and 4 × getsockopt; put back afterwards, not timed
//   peer checked PID FIRST LAST NANOSECONDS SOCKETS        the same, and what the agent asks before it writes: whether the descriptor is a
//                                                          socket, its namespace, its two ends, its user timeout

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PIDFD_OPEN = 434, PIDFD_GETFD = 438, DUMP_BUFFER = 32768 };

static const struct {
    int level, name, value;
} options[] = { // in the order that lets idle time already spent count
    { IPPROTO_TCP, TCP_KEEPINTVL, 10 },
    { IPPROTO_TCP, TCP_KEEPCNT, 20 },
    { SOL_SOCKET, SO_KEEPALIVE, 1 },
    { IPPROTO_TCP, TCP_KEEPIDLE, 700 },
};

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long processor_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void run(const char *file, char **program)
{
    long long begun = now_ns();
    pid_t child = fork();
    if (child == 0) {
        int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || dup2(fd, 1) < 0)
            die(file);
        execvp(*program, program);
        die(*program);
    }
    int status;
    struct rusage used;
    if (child < 0 || wait4(child, &status, 0, &used) < 0)
        die("fork");
    long long took = now_ns() - begun;
    if (status)
        exit(1);
    printf("%lld %lld\n", took,
           (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL + used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void dump(void)
{
    static char buffer[DUMP_BUFFER];
    struct {
        struct nlmsghdr header;
        struct inet_diag_req body; // the older form takes both address families in one walk
    } request = {
        .header = { .nlmsg_len = sizeof request, .nlmsg_type = TCPDIAG_GETSOCK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
        .body = { .idiag_states = 1 << 1 /* ESTABLISHED */, .idiag_ext = 1 << (INET_DIAG_INFO - 1) },
    };
    int diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    long sockets = 0;
    long long begun = now_ns();
    if (diag < 0 || send(diag, &request, sizeof request, 0) < 0)
        die("sock_diag");
    for (;;) {
        ssize_t n = recv(diag, buffer, sizeof buffer, 0);
        if (n <= 0)
            die("recv");
        for (struct nlmsghdr *message = (struct nlmsghdr *)buffer; NLMSG_OK(message, n); message = NLMSG_NEXT(message, n)) {
            if (message->nlmsg_type == NLMSG_ERROR)
                die("dump");
            if (message->nlmsg_type == NLMSG_DONE) {
                printf("%lld %ld\n", now_ns() - begun, sockets);
                return;
            }
            sockets++;
        }
    }
}

static void get_all(int fd, int values[4])
{
    for (int i = 0; i < 4; i++) {
        socklen_t length = sizeof *values;
        if (getsockopt(fd, options[i].level, options[i].name, &values[i], &length) < 0)
            die("getsockopt");
    }
}

static void check(int fd)
{
    uint64_t namespace;
    struct sockaddr_storage local, remote;
    int timeout;
    socklen_t length = sizeof namespace;
    if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &namespace, &length) < 0)
        die("SO_NETNS_COOKIE");
    length = sizeof local;
    if (getsockname(fd, (struct sockaddr *)&local, &length) < 0)
        die("getsockname");
    length = sizeof remote;
    if (getpeername(fd, (struct sockaddr *)&remote, &length) < 0)
        die("getpeername");
    length = sizeof timeout;
    if (getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, &length) < 0)
        die("TCP_USER_TIMEOUT");
}

static int walk(int process, int pid, int first, int last, int set, int checked)
{
    int found[4], now[4], sockets = 0;
    for (int number = first; number <= last; number++) {
        if (checked) {
            char path[48];
            struct statx status;
            snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, number);
            if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, 0, &status) < 0 || !S_ISSOCK(status.stx_mode))
                continue;
        }
        int fd = (int)syscall(PIDFD_GETFD, process, number, 0);
        uint64_t cookie;
        socklen_t length = sizeof cookie;
        if (fd < 0)
            die("pidfd_getfd");
        if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0) { // a file that the process inherited
            close(fd);
            continue;
        }
        sockets++;
        if (checked)
            check(fd);
        get_all(fd, found);
        if (set) {
            for (int i = 0; i < 4; i++)
                if (setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int)) < 0)
                    die("setsockopt");
            get_all(fd, now);
        }
        close(fd);
    }
    return sockets;
}

static void put_back(int process, int first, int last)
{
    static const int defaults[] = { 75, 9, 0, 7200 };
    for (int number = first; number <= last; number++) {
        int fd = (int)syscall(PIDFD_GETFD, process, number, 0);
        for (int i = 0; i < 4; i++)
            setsockopt(fd, options[i].level, options[i].name, &defaults[i], sizeof(int));
        close(fd);
    }
}

int main(int argc, char **argv)
{
    if (argc > 3 && !strcmp(argv[1], "run")) {
        run(argv[2], argv + 3);
    } else if (argc == 2 && !strcmp(argv[1], "dump")) {
        dump();
    } else if (argc == 5 && (!strcmp(argv[1], "read") || !strcmp(argv[1], "set") || !strcmp(argv[1], "checked"))) {
        int pid = atoi(argv[2]), process = (int)syscall(PIDFD_OPEN, pid, 0), first = atoi(argv[3]), last = atoi(argv[4]);
        int checked = *argv[1] == 'c', set = checked || *argv[1] == 's';
        if (process < 0)
            die("pidfd_open");
        long long begun = processor_ns();
        int sockets = walk(process, pid, first, last, set, checked);
        printf("%lld %d\n", processor_ns() - begun, sockets);
        if (set)
            put_back(process, first, last);
    } else {
        return 2;
    }
    return 0;
}
