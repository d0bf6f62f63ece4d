// stream: one TCP stream at full speed, and the least work that forwards it from one interface to another.
//
//   stream sink PORT                    takes whatever comes
//   stream source ADDRESS PORT SECONDS  sends for so long; prints "stream NANOSECONDS BYTES", acknowledged bytes only
//   stream forward LINK LINK            carries every frame between two interfaces, 64 at a time, until it is killed; decides nothing

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, FRAME = 2048, CHUNK = 65536, RING = 8 << 20 };

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void check(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static void sink(int port)
{
    static char buffer[CHUNK];
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    check(listen(listener, 1), "listen");
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        check(connection, "accept");
        while (read(connection, buffer, sizeof buffer) > 0)
            ;
        close(connection);
    }
}

static void source(const char *host, int port, int seconds)
{
    static char buffer[CHUNK];
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(host) };
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    check(connect(connection, (struct sockaddr *)&address, sizeof address), "connect");
    long long begun = now_ns(), end = begun + seconds * 1000000000LL, bytes = 0;
    while (now_ns() < end) {
        ssize_t n = write(connection, buffer, sizeof buffer);
        check((int)n, "write");
        bytes += n;
    }
    int queued;
    check(ioctl(connection, SIOCOUTQ, &queued), "SIOCOUTQ");
    printf("stream %lld %lld\n", now_ns() - begun, bytes - queued);
}

static int open_link(const char *link)
{
    int yes = 1, size = RING, fd = socket(AF_PACKET, SOCK_RAW, 0);
    check(fd, "socket");
    check(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes), "PACKET_IGNORE_OUTGOING");
    check(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size), "SO_RCVBUFFORCE");
    struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex(link) };
    check(bind(fd, (struct sockaddr *)&address, sizeof address), link);
    return fd;
}

static void carry(int from, int to)
{
    static char frames[BATCH][FRAME];
    static struct iovec vectors[BATCH];
    static struct mmsghdr messages[BATCH];
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){ frames[i], FRAME };
        messages[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &vectors[i], .msg_iovlen = 1 } };
    }
    int n = recvmmsg(from, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++)
        vectors[i].iov_len = messages[i].msg_len;
    for (int sent = 0; sent < n;) {
        int m = sendmmsg(to, messages + sent, n - sent, MSG_DONTWAIT);
        sent += m > 0 ? m : 1;
    }
}

static void forward(const char *one, const char *other)
{
    struct pollfd links[] = { { .fd = open_link(one), .events = POLLIN }, { .fd = open_link(other), .events = POLLIN } };
    puts("forwarding");
    fflush(stdout);
    for (;;) {
        check(poll(links, 2, -1), "poll");
        if (links[0].revents)
            carry(links[0].fd, links[1].fd);
        if (links[1].revents)
            carry(links[1].fd, links[0].fd);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "sink"))
        sink(atoi(argv[2]));
    else if (argc == 5 && !strcmp(argv[1], "source"))
        source(argv[2], atoi(argv[3]), atoi(argv[4]));
    else if (argc == 4 && !strcmp(argv[1], "forward"))
        forward(argv[2], argv[3]);
    else
        return 2;
    return 0;
}
