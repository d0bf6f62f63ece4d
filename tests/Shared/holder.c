// holder: an application that knows nothing of keepalive policies. It opens, accepts and holds TCP connections on command and
// answers what the kernel says about them. It never enables keepalive by itself.
//
// One command per line on stdin, one answer line per command on stdout: "ok …" or "error ERRNO text". It ends when stdin does, so it
// cannot outlive the process that started it, not even one that was killed.
//
// A connection is named by a number in order of opening (0, 1, …), an accepted one by a number in order of arrival (a0, a1, …), a
// listener by l0, l1, …
//
//   listen ADDR PORT                      ok PORT             port 0 = any; :: is dual-stack
//   connect ADDR PORT COUNT [SRCADDR]     ok FIRST LAST       ::ffff:a.b.c.d opens an AF_INET6 socket to an IPv4 address
//   dial ADDR PORT SRCPORT SEQUENCE       ok ID               one connection; SRCPORT 0 = any; SEQUENCE 0 = any, else the one of its SYN
//   short ADDR PORT COUNT                 ok MICROSECONDS CONNECTING ON/IDLE/INTVL/CNT=N…   opens so many, one after another; looks at each
//                                         and resets it; of all the microseconds, those spent connecting
//   get ID                                ok ON IDLE INTVL CNT
//   set ID keepalive|idle|intvl|cnt|usertimeout VALUE         ok
//   gettimeout ID                         ok MILLISECONDS     TCP_USER_TIMEOUT
//   usertimeout MILLISECONDS              ok                  connections opened from now on have it before they connect; 0 = none
//   local ID                              ok ADDR PORT
//   cookie ID                             ok COOKIE
//   fd ID                                 ok FD
//   files COUNT                           ok                  COUNT more descriptors that are no sockets
//   soerror ID                            ok ERRNO REVENTS    pending SO_ERROR (read once: the kernel clears it) and poll(2) revents
//   send ID BYTES                         ok SENT
//   recv ID                               ok BYTES EOF        what has arrived, drained without waiting; EOF 1 when the peer has closed
//   close ID | closeall                   ok                  closeall: own connections only
//   abort ID                              ok                  closes it with a reset
//   count                                 ok OWN ACCEPTED     those open now
//   reading on|off|by-hand                ok                  off: accepted connections are left unread, their windows fill; by-hand: errors and
//                                                             ends of theirs are left to recv and soerror as well
//   multipath on|off                      ok                  listeners and connections made from now on are MPTCP's
//   spawn N ADDR PORT CONNS               ok                  N children with CONNS idle connections each, once all are connected
//   children                              ok PID…
//   churn ADDR PORT RATE SECONDS HOLD     ok                  RATE connections/s in the background, each closed after HOLD seconds (0 = never)
//   churnstat                             ok OPENED CLOSED FAILED
//   churnseen FROM TO                     ok ON/IDLE/INTVL/CNT=N…   the values of those opened from number FROM to before TO, if they are open
//   execs RATE SECONDS [MILLISECONDS]     ok                  RATE short-lived processes/s in the background, each living that long
//   execstat                              ok STARTED
//   enter PATH                            ok                  goes on in another network namespace; its connections stay where they are
//   pid                                   ok PID
//   quit                                  ok

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 4096, CONNECT_TIMEOUT_MS = 10000, SPAWN_TIMEOUT_MS = 60000, TICK_MS = 10, DESCRIPTORS = 100000 };
enum { IPPROTO_MULTIPATH = 262 }; // IPPROTO_MPTCP of linux/in.h, which glibc's headers exclude
enum kind { STDIN, LISTENER, ACCEPTED, CHURN, EXECS };

struct fds {
    int *items;
    int count, capacity;
};

struct endpoint {
    struct sockaddr_storage address;
    socklen_t length;
};

struct held {
    int fd;
    int64_t until; // 0 = for ever
};

// An action that is due RATE times a second for some time: a periodic timer computes how many are due by now.
struct pace {
    int timer;
    double rate;
    int64_t began, ends;
    long done;
};

static int epoll;
static struct fds own, accepted, listeners;
static int reading = 1, by_hand, protocol;

static pid_t *children;
static int children_count;

static struct endpoint churn_to;
static struct pace churn = { .timer = -1 }, execs = { .timer = -1 };
static struct held *churned;
static long churned_head, churned_tail, churned_capacity;
static long churn_closed, churn_failed;
static int64_t churn_hold;
static char execs_lifetime[24] = "0";

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void fail(int error)
{
    dprintf(1, "error %d %s\n", error, strerror(error));
}

static int append(struct fds *list, int fd)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->items = realloc(list->items, sizeof(int) * (size_t)list->capacity);
        if (!list->items)
            abort();
    }
    list->items[list->count] = fd;
    return list->count++;
}

static void watch(int operation, int fd, uint32_t events, enum kind kind, int index)
{
    struct epoll_event event = { .events = events, .data.u64 = (uint64_t)kind << 32 | (uint32_t)index };
    if (epoll_ctl(epoll, operation, fd, &event) < 0) {
        perror("epoll_ctl");
        exit(1);
    }
}

static int parse_endpoint(const char *address, const char *port, struct endpoint *result)
{
    memset(result, 0, sizeof *result);
    struct sockaddr_in *four = (struct sockaddr_in *)&result->address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&result->address;
    if (inet_pton(AF_INET, address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)atoi(port));
        result->length = sizeof *four;
        return 1;
    }
    if (inet_pton(AF_INET6, address, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)atoi(port));
        result->length = sizeof *six;
        return 1;
    }
    return 0;
}

// The descriptor of an id, or -1.
static int find(const char *id)
{
    const struct fds *list = &own;
    if (*id == 'a' || *id == 'l')
        list = *id++ == 'a' ? &accepted : &listeners;
    char *end;
    long index = strtol(id, &end, 10);
    if (end == id || *end || index < 0 || index >= list->count)
        return -1;
    return list->items[index];
}

static void forget(const char *id)
{
    struct fds *list = &own;
    if (*id == 'a' || *id == 'l')
        list = *id++ == 'a' ? &accepted : &listeners;
    list->items[atoi(id)] = -1;
}

static void accept_waiting(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        int index = append(&accepted, fd);
        if (!by_hand)
            watch(EPOLL_CTL_ADD, fd, reading ? EPOLLIN : 0, ACCEPTED, index);
    }
}

static void accept_all(void)
{
    for (int i = 0; i < listeners.count; i++)
        if (listeners.items[i] >= 0)
            accept_waiting(listeners.items[i]);
}

// Data is read and discarded. A connection that the peer closed or reset is closed.
static void read_accepted(int index)
{
    static char buffer[65536];
    int fd = accepted.items[index];
    if (fd < 0)
        return;
    if (!reading) // only EPOLLERR and EPOLLHUP come through
        goto gone;
    for (;;) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
    }
gone:
    close(fd);
    accepted.items[index] = -1;
}

// One connection within its time limit, or -1 with errno set. Exits the process when stdin ends meanwhile.
static int user_timeout;

static int connect_one(const struct endpoint *to, const struct endpoint *from, uint32_t sequence)
{
    int fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return -1;
    int error = 0;
    if (user_timeout)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof user_timeout);
    // The kernel keeps the sequence number that a socket has when it connects: checkpoint and restore need that (TCP_REPAIR).
    int on = 1, off = 0, send_queue = 2;
    if (sequence
        && (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) < 0
            || setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &send_queue, sizeof send_queue) < 0
            || setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &sequence, sizeof sequence) < 0
            || setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof off) < 0)) {
        error = errno;
    } else if (from && bind(fd, (const struct sockaddr *)&from->address, from->length) < 0) {
        error = errno;
    } else if (connect(fd, (const struct sockaddr *)&to->address, to->length) < 0) {
        error = errno;
        if (error == EINPROGRESS) {
            struct pollfd waits[] = { { .fd = fd, .events = POLLOUT }, { .fd = 0 } };
            int ready = poll(waits, 2, CONNECT_TIMEOUT_MS);
            if (waits[1].revents & POLLHUP)
                exit(0);
            socklen_t length = sizeof error;
            if (ready <= 0)
                error = ETIMEDOUT;
            else
                getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
        }
    }
    if (!error)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

static void command_listen(char **word)
{
    struct endpoint at;
    if (!parse_endpoint(word[1], word[2], &at))
        return fail(EINVAL);
    int fd = socket(at.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol), yes = 1, no = 0;
    if (fd < 0)
        return fail(errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (at.address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    at.length = sizeof at.address;
    socklen_t size = at.address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (bind(fd, (struct sockaddr *)&at.address, size) < 0 || listen(fd, BACKLOG) < 0
        || getsockname(fd, (struct sockaddr *)&at.address, &at.length) < 0) {
        fail(errno);
        close(fd);
        return;
    }
    watch(EPOLL_CTL_ADD, fd, EPOLLIN, LISTENER, append(&listeners, fd));
    dprintf(1, "ok %d\n", ntohs(((struct sockaddr_in *)&at.address)->sin_port)); // the port is at the same place in both families
}

static void command_connect(char **word, int words)
{
    struct endpoint to, from;
    int count = atoi(word[3]), first = own.count;
    if (!parse_endpoint(word[1], word[2], &to) || (words > 4 && !parse_endpoint(word[4], "0", &from)) || count < 1)
        return fail(EINVAL);
    for (int i = 0; i < count; i++) {
        int fd = connect_one(&to, words > 4 ? &from : NULL, 0);
        if (fd < 0) {
            int error = errno;
            while (own.count > first)
                close(own.items[--own.count]);
            return fail(error);
        }
        append(&own, fd);
        if (i % 64 == 63) // a listener of our own must not fill its backlog
            accept_all();
    }
    dprintf(1, "ok %d %d\n", first, own.count - 1);
}

static void command_dial(char **word)
{
    struct endpoint to, from;
    if (!parse_endpoint(word[1], word[2], &to) || !parse_endpoint(to.address.ss_family == AF_INET ? "0.0.0.0" : "::", word[3], &from))
        return fail(EINVAL);
    int fd = connect_one(&to, atoi(word[3]) ? &from : NULL, (uint32_t)strtoul(word[4], NULL, 10));
    if (fd < 0)
        return fail(errno);
    dprintf(1, "ok %d\n", append(&own, fd));
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int read_option(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, name, &value, &length) < 0 ? -errno : value;
}

static void command_get(int fd)
{
    dprintf(1, "ok %d %d %d %d\n", read_option(fd, SOL_SOCKET, SO_KEEPALIVE), read_option(fd, IPPROTO_TCP, TCP_KEEPIDLE),
            read_option(fd, IPPROTO_TCP, TCP_KEEPINTVL), read_option(fd, IPPROTO_TCP, TCP_KEEPCNT));
}

enum { KINDS = 16 };

// How many sockets have the same values.
struct kinds {
    struct {
        int values[4], count;
    } of[KINDS];
    int known;
};

// Counts the values of a socket; 0 if there are too many kinds.
static int count_kind(struct kinds *kinds, int fd)
{
    int values[4] = { read_option(fd, SOL_SOCKET, SO_KEEPALIVE), read_option(fd, IPPROTO_TCP, TCP_KEEPIDLE),
                      read_option(fd, IPPROTO_TCP, TCP_KEEPINTVL), read_option(fd, IPPROTO_TCP, TCP_KEEPCNT) };
    int kind = 0;
    while (kind < kinds->known && memcmp(kinds->of[kind].values, values, sizeof values))
        kind++;
    if (kind == KINDS)
        return 0;
    if (kind == kinds->known)
        memcpy(kinds->of[kinds->known++].values, values, sizeof values);
    kinds->of[kind].count++;
    return 1;
}

static void print_kinds(const struct kinds *kinds)
{
    for (int i = 0; i < kinds->known; i++) {
        const int *values = kinds->of[i].values;
        dprintf(1, " %d/%d/%d/%d=%d", values[0], values[1], values[2], values[3], kinds->of[i].count);
    }
    dprintf(1, "\n");
}

static void command_short(char **word)
{
    struct kinds kinds = { 0 };
    int count = atoi(word[3]);
    int64_t connecting = 0, begun = now_ns();
    struct endpoint to;
    if (!parse_endpoint(word[1], word[2], &to))
        return fail(EINVAL);
    for (int i = 0; i < count; i++) {
        int64_t before = now_ns();
        int fd = connect_one(&to, NULL, 0);
        connecting += now_ns() - before;
        if (fd < 0)
            return fail(errno);
        if (!count_kind(&kinds, fd))
            return fail(ERANGE);
        struct linger reset = { .l_onoff = 1 }; // leaves no TIME_WAIT behind, and so does not run out of ports
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    dprintf(1, "ok %lld %lld", (long long)(now_ns() - begun) / 1000, (long long)connecting / 1000);
    print_kinds(&kinds);
}

static void command_set(int fd, char **word)
{
    static const struct {
        const char *word;
        int level, name;
    } options[] = {
        { "keepalive", SOL_SOCKET, SO_KEEPALIVE },       { "idle", IPPROTO_TCP, TCP_KEEPIDLE },
        { "intvl", IPPROTO_TCP, TCP_KEEPINTVL },         { "cnt", IPPROTO_TCP, TCP_KEEPCNT },
        { "usertimeout", IPPROTO_TCP, TCP_USER_TIMEOUT },
    };
    int value = atoi(word[3]);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (strcmp(word[2], options[i].word))
            continue;
        if (setsockopt(fd, options[i].level, options[i].name, &value, sizeof value) < 0)
            fail(errno);
        else
            dprintf(1, "ok\n");
        return;
    }
    fail(EINVAL);
}

static void command_local(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char text[INET6_ADDRSTRLEN];
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return fail(errno);
    const void *bytes = address.ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)&address)->sin6_addr
                                                      : (void *)&((struct sockaddr_in *)&address)->sin_addr;
    dprintf(1, "ok %s %d\n", inet_ntop(address.ss_family, bytes, text, sizeof text), ntohs(((struct sockaddr_in *)&address)->sin_port));
}

static void command_cookie(int fd)
{
    uint64_t cookie;
    socklen_t length = sizeof cookie;
    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0)
        fail(errno);
    else
        dprintf(1, "ok %llu\n", (unsigned long long)cookie);
}

static void command_soerror(int fd)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };
    poll(&wait, 1, 0);
    dprintf(1, "ok %d %d\n", read_option(fd, SOL_SOCKET, SO_ERROR), wait.revents);
}

static void command_send(int fd, const char *bytes)
{
    static const char zeroes[65536];
    long wanted = atol(bytes), sent = 0;
    while (sent < wanted) {
        size_t part = wanted - sent < (long)sizeof zeroes ? (size_t)(wanted - sent) : sizeof zeroes;
        ssize_t n = send(fd, zeroes, part, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return fail(errno);
        sent += n;
    }
    dprintf(1, "ok %ld\n", sent);
}

static void command_recv(int fd)
{
    static char buffer[65536];
    long total = 0;
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            return fail(errno);
        if (n <= 0) {
            dprintf(1, "ok %ld %d\n", total, n == 0);
            return;
        }
        total += n;
    }
}

static void command_abort(int fd, const char *id)
{
    struct linger at_once = { .l_onoff = 1 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    forget(id);
    dprintf(1, "ok\n");
}

static void command_files(int count)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (int i = 1; null >= 0 && i < count; i++)
        if (fcntl(null, F_DUPFD_CLOEXEC, 0) < 0)
            return fail(errno);
    if (null < 0)
        fail(errno);
    else
        dprintf(1, "ok\n");
}

static void command_enter(const char *path)
{
    int netns = open(path, O_RDONLY | O_CLOEXEC);
    if (netns < 0 || setns(netns, CLONE_NEWNET) != 0)
        fail(errno);
    else
        dprintf(1, "ok\n");
    if (netns >= 0)
        close(netns);
}

static int open_in(const struct fds *list)
{
    int open = 0;
    for (int i = 0; i < list->count; i++)
        open += list->items[i] >= 0;
    return open;
}

static void command_reading(const char *word)
{
    reading = !strcmp(word, "on");
    by_hand = by_hand || !strcmp(word, "by-hand"); // before anything is accepted, and for good
    for (int i = 0; i < accepted.count && !by_hand; i++)
        if (accepted.items[i] >= 0)
            watch(EPOLL_CTL_MOD, accepted.items[i], reading ? EPOLLIN : 0, ACCEPTED, i);
    dprintf(1, "ok\n");
}

static void run_child(pid_t parent, const struct endpoint *to, int connections, int done)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    // Only the pipe that it waits at stays open, moved out of the way first.
    done = dup2(done, 3);
    syscall(SYS_close_range, 4u, ~0u, 0u);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    close(null);
    char answer = 0;
    for (int i = 0; i < connections && !answer; i++)
        if (connect_one(to, NULL, 0) < 0)
            answer = (char)errno;
    if (write(done, &answer, 1) != 1 || answer)
        _exit(1);
    close(done);
    for (;;)
        pause();
}

static void command_spawn(char **word)
{
    struct endpoint to;
    int count = atoi(word[1]), connections = atoi(word[4]), done[2];
    pid_t self = getpid();
    if (!parse_endpoint(word[2], word[3], &to) || count < 1)
        return fail(EINVAL);
    if (pipe2(done, O_CLOEXEC | O_NONBLOCK) < 0)
        return fail(errno);
    children = realloc(children, sizeof(pid_t) * (size_t)(children_count + count));
    int started = 0, error = 0;
    for (; started < count && !error; started++) {
        pid_t child = fork();
        if (child == 0)
            run_child(self, &to, connections, done[1]);
        if (child < 0) {
            error = errno;
            break;
        }
        children[children_count++] = child;
        if (started % 64 == 63)
            accept_all();
    }
    close(done[1]);
    int64_t deadline = now_ms() + SPAWN_TIMEOUT_MS;
    for (int answered = 0; answered < started && !error;) {
        struct pollfd waits[] = { { .fd = done[0], .events = POLLIN }, { .fd = 0 } };
        poll(waits, 2, TICK_MS);
        accept_all();
        char answer;
        ssize_t n = read(done[0], &answer, 1);
        if (waits[1].revents & POLLHUP)
            exit(0);
        if (n == 1) {
            error = answer;
            answered++;
        } else if (n == 0) { // a child ended without a word
            error = ECHILD;
        } else if (now_ms() > deadline) {
            error = ETIMEDOUT;
        }
    }
    close(done[0]);
    if (error)
        fail(error);
    else
        dprintf(1, "ok\n");
}

static void command_children(void)
{
    printf("ok");
    for (int i = 0; i < children_count; i++)
        printf(" %d", children[i]);
    printf("\n");
    fflush(stdout);
}

static void begin(struct pace *pace, enum kind kind, const char *rate, const char *seconds)
{
    if (pace->timer < 0) {
        pace->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        watch(EPOLL_CTL_ADD, pace->timer, EPOLLIN, kind, 0);
    }
    struct itimerspec every = { .it_interval.tv_nsec = TICK_MS * 1000000L, .it_value.tv_nsec = 1 };
    timerfd_settime(pace->timer, 0, &every, NULL);
    pace->rate = atof(rate);
    pace->began = now_ms();
    pace->ends = pace->began + (int64_t)(atof(seconds) * 1000);
    pace->done = 0;
}

// The number that is due now and not done yet; *over once the time is up.
static long due(struct pace *pace, int *over)
{
    uint64_t ticks;
    if (read(pace->timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
        exit(1);
    int64_t now = now_ms();
    *over = now >= pace->ends;
    long wanted = (long)((double)((*over ? pace->ends : now) - pace->began) * pace->rate / 1000);
    return wanted > pace->done ? wanted - pace->done : 0;
}

static void stop(struct pace *pace)
{
    struct itimerspec never = { 0 };
    timerfd_settime(pace->timer, 0, &never, NULL);
}

static void churn_tick(void)
{
    int over;
    for (long n = due(&churn, &over); n > 0; n--) {
        churn.done++;
        int fd = socket(churn_to.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
        if (fd < 0 || (connect(fd, (struct sockaddr *)&churn_to.address, churn_to.length) < 0 && errno != EINPROGRESS)) {
            churn_failed++;
            if (fd >= 0)
                close(fd);
            continue;
        }
        if (churned_tail == churned_capacity) {
            churned_capacity = churned_capacity ? churned_capacity * 2 : 1024;
            churned = realloc(churned, sizeof *churned * (size_t)churned_capacity);
            if (!churned)
                abort();
        }
        churned[churned_tail++] = (struct held){ fd, churn_hold ? now_ms() + churn_hold : 0 };
    }
    int64_t now = now_ms();
    while (churned_head < churned_tail && churned[churned_head].until && churned[churned_head].until <= now) {
        struct held *held = &churned[churned_head++];
        struct tcp_info info;
        socklen_t length = sizeof info;
        // A connection that was never established, or that broke while it was held, is a failure.
        if (getsockopt(held->fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 || info.tcpi_state != 1 /* ESTABLISHED */)
            churn_failed++;
        close(held->fd);
        churn_closed++;
    }
    if (over && (churned_head == churned_tail || !churned[churned_head].until))
        stop(&churn);
}

static void command_churnseen(char **word)
{
    struct kinds kinds = { 0 };
    long to = atol(word[2]);
    for (long i = atol(word[1]) > churned_head ? atol(word[1]) : churned_head; i < to && i < churned_tail; i++)
        if (!count_kind(&kinds, churned[i].fd))
            return fail(ERANGE);
    dprintf(1, "ok");
    print_kinds(&kinds);
}

static void execs_tick(void)
{
    int over;
    for (long n = due(&execs, &over); n > 0; n--) {
        execs.done++;
        if (vfork() == 0) {
            execl("/proc/self/exe", "short-lived", "--exit-after", execs_lifetime, (char *)NULL);
            _exit(127);
        }
    }
    if (over)
        stop(&execs);
}

static void execute(char *line)
{
    char *word[8], *rest;
    int words = 0;
    for (char *next = strtok_r(line, " \r", &rest); next && words < 8; next = strtok_r(NULL, " \r", &rest))
        word[words++] = next;
    if (!words)
        return fail(EINVAL);

    static const struct {
        const char *name;
        int min, max, has_id;
    } commands[] = {
        { "listen", 3, 3, 0 }, { "connect", 4, 5, 0 },   { "short", 4, 4, 0 },   { "get", 2, 2, 1 },   { "set", 4, 4, 1 },    { "local", 2, 2, 1 },
        { "cookie", 2, 2, 1 }, { "fd", 2, 2, 1 },        { "soerror", 2, 2, 1 }, { "send", 3, 3, 1 }, { "recv", 2, 2, 1 },
        { "dial", 5, 5, 0 },   { "abort", 2, 2, 1 },   { "halfclose", 2, 2, 1 },
        { "close", 2, 2, 1 },  { "closeall", 1, 1, 0 },  { "count", 1, 1, 0 }, { "reading", 2, 2, 0 }, { "files", 2, 2, 0 },
        { "multipath", 2, 2, 0 }, { "gettimeout", 2, 2, 1 }, { "usertimeout", 2, 2, 0 },
        { "spawn", 5, 5, 0 },
        { "children", 1, 1, 0 }, { "churn", 6, 6, 0 },   { "churnstat", 1, 1, 0 }, { "churnseen", 3, 3, 0 }, { "execs", 3, 4, 0 }, { "execstat", 1, 1, 0 },
        { "enter", 2, 2, 0 },  { "pid", 1, 1, 0 },       { "quit", 1, 1, 0 },
    };
    const size_t known = sizeof commands / sizeof *commands;
    size_t i = 0;
    while (i < known && strcmp(word[0], commands[i].name))
        i++;
    if (i == known || words < commands[i].min || words > commands[i].max)
        return fail(EINVAL);
    int fd = commands[i].has_id ? find(word[1]) : -1;
    if (commands[i].has_id && fd < 0)
        return fail(EBADF);

    const char *name = commands[i].name;
    if (!strcmp(name, "listen")) {
        command_listen(word);
    } else if (!strcmp(name, "connect")) {
        command_connect(word, words);
    } else if (!strcmp(name, "dial")) {
        command_dial(word);
    } else if (!strcmp(name, "abort")) {
        command_abort(fd, word[1]);
    } else if (!strcmp(name, "halfclose")) {
        if (shutdown(fd, SHUT_WR) < 0)
            return fail(errno);
        dprintf(1, "ok\n");
    } else if (!strcmp(name, "short")) {
        command_short(word);
    } else if (!strcmp(name, "get")) {
        command_get(fd);
    } else if (!strcmp(name, "gettimeout")) {
        dprintf(1, "ok %d\n", read_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
    } else if (!strcmp(name, "usertimeout")) {
        user_timeout = atoi(word[1]);
        dprintf(1, "ok\n");
    } else if (!strcmp(name, "set")) {
        command_set(fd, word);
    } else if (!strcmp(name, "local")) {
        command_local(fd);
    } else if (!strcmp(name, "cookie")) {
        command_cookie(fd);
    } else if (!strcmp(name, "fd")) {
        dprintf(1, "ok %d\n", fd);
    } else if (!strcmp(name, "soerror")) {
        command_soerror(fd);
    } else if (!strcmp(name, "send")) {
        command_send(fd, word[2]);
    } else if (!strcmp(name, "recv")) {
        command_recv(fd);
    } else if (!strcmp(name, "close")) {
        close(fd);
        forget(word[1]);
        dprintf(1, "ok\n");
    } else if (!strcmp(name, "closeall")) {
        for (int c = 0; c < own.count; c++)
            if (own.items[c] >= 0) {
                close(own.items[c]);
                own.items[c] = -1;
            }
        dprintf(1, "ok\n");
    } else if (!strcmp(name, "count")) {
        accept_all();
        dprintf(1, "ok %d %d\n", open_in(&own), open_in(&accepted));
    } else if (!strcmp(name, "multipath")) {
        protocol = strcmp(word[1], "on") ? 0 : IPPROTO_MULTIPATH;
        dprintf(1, "ok\n");
    } else if (!strcmp(name, "reading")) {
        command_reading(word[1]);
    } else if (!strcmp(name, "files")) {
        command_files(atoi(word[1]));
    } else if (!strcmp(name, "spawn")) {
        command_spawn(word);
    } else if (!strcmp(name, "children")) {
        command_children();
    } else if (!strcmp(name, "churn")) {
        if (!parse_endpoint(word[1], word[2], &churn_to))
            return fail(EINVAL);
        churn_hold = (int64_t)(atof(word[5]) * 1000);
        begin(&churn, CHURN, word[3], word[4]);
        dprintf(1, "ok\n");
    } else if (!strcmp(name, "churnstat")) {
        dprintf(1, "ok %ld %ld %ld\n", churn.done, churn_closed, churn_failed);
    } else if (!strcmp(name, "churnseen")) {
        command_churnseen(word);
    } else if (!strcmp(name, "execs")) {
        snprintf(execs_lifetime, sizeof execs_lifetime, "%s", words > 3 ? word[3] : "0");
        begin(&execs, EXECS, word[1], word[2]);
        dprintf(1, "ok\n");
    } else if (!strcmp(name, "execstat")) {
        dprintf(1, "ok %ld\n", execs.done);
    } else if (!strcmp(name, "enter")) {
        command_enter(word[1]);
    } else if (!strcmp(name, "pid")) {
        dprintf(1, "ok %d\n", getpid());
    } else {
        dprintf(1, "ok\n");
        exit(0);
    }
}

static void read_commands(void)
{
    static char buffer[4096];
    static size_t used;
    ssize_t n = read(0, buffer + used, sizeof buffer - 1 - used);
    if (n <= 0)
        exit(0);
    used += (size_t)n;
    char *start = buffer, *end;
    while ((end = memchr(start, '\n', used - (size_t)(start - buffer)))) {
        *end = 0;
        execute(start);
        start = end + 1;
    }
    used -= (size_t)(start - buffer);
    memmove(buffer, start, used);
    if (used == sizeof buffer - 1) // a line that long is no command
        exit(1);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--exit-after")) {
        usleep((useconds_t)atoi(argv[2]) * 1000);
        return 0;
    }
    struct rlimit limit, more = { DESCRIPTORS, DESCRIPTORS };
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        if (limit.rlim_max >= DESCRIPTORS || setrlimit(RLIMIT_NOFILE, &more) < 0) // beyond the hard limit only with privilege
            setrlimit(RLIMIT_NOFILE, &limit);
    }
    signal(SIGCHLD, SIG_IGN); // children are reaped by the kernel
    epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, 0, EPOLLIN, STDIN, 0);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            int index = (int)(uint32_t)events[i].data.u64;
            switch ((enum kind)(events[i].data.u64 >> 32)) {
            case STDIN:
                read_commands();
                break;
            case LISTENER:
                if (listeners.items[index] >= 0)
                    accept_waiting(listeners.items[index]);
                break;
            case ACCEPTED:
                read_accepted(index);
                break;
            case CHURN:
                churn_tick();
                break;
            case EXECS:
                execs_tick();
                break;
            }
        }
    }
}
