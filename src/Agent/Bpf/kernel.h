// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// kernel.h: the parts of the kernel's own types that keepalive.bpf.c reads. Member names are the kernel's. Their places in memory are found
// when the programs are loaded (CO-RE), so nothing here depends on one kernel. A suffix after ___ marks another version of a type.
//
// Kernels move fields. Fields that are only shown (timers, idle time, user timeout, cgroup, user) are read after bpf_core_field_exists.
// Without those that select sockets (addresses, namespace, values, sk_kern_sock, sk_socket, icsk_probes_out), the datapath is unavailable.
#ifndef KEEPALIVE_KERNEL_H
#define KEEPALIVE_KERNEL_H

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr {
    __u8 s6_addr_bytes[16];
};

struct ns_common {
    unsigned int inum;
};

struct netns_ipv4 {
    int sysctl_tcp_keepalive_time;
    int sysctl_tcp_keepalive_intvl;
    __u8 sysctl_tcp_keepalive_probes;
};

struct net {
    struct ns_common ns;
    struct netns_ipv4 ipv4;
};

typedef struct {
    struct net *net;
} possible_net_t;

typedef struct {
    __s64 counter;
} atomic64_t;

struct sock_common {
    __be32 skc_daddr;
    __be32 skc_rcv_saddr;
    __be16 skc_dport;
    __u16 skc_num;
    unsigned short skc_family;
    volatile unsigned char skc_state;
    possible_net_t skc_net;
    struct in6_addr skc_v6_daddr;
    struct in6_addr skc_v6_rcv_saddr;
    atomic64_t skc_cookie;
    unsigned long skc_flags;
};

struct hlist_node {
    struct hlist_node *next, **pprev;
};

struct timer_list {
    struct hlist_node entry;
    unsigned long expires;
};

struct sock;

struct socket {
    struct sock *sk;
};

struct kernfs_node {
    __u64 id;
};

struct cgroup {
    struct kernfs_node *kn;
};

struct sock_cgroup_data {
    struct cgroup *cgroup;
};

typedef struct {
    __u32 val;
} kuid_t;

struct sock {
    struct sock_common __sk_common;
    struct socket *sk_socket;
    struct sock_cgroup_data sk_cgrp_data;
    kuid_t sk_uid;
    __u8 sk_kern_sock : 1;
    __u16 sk_protocol;
};

struct inet_sock {
    struct sock sk;
};

struct inet_connection_sock {
    struct inet_sock icsk_inet;
    __u8 icsk_retransmits;
    __u8 icsk_pending;
    __u8 icsk_probes_out;
    struct {
        __u32 lrcvtime;
    } icsk_ack;
    __u32 icsk_user_timeout;
};

// When the retransmission timer fires, in Linux 5.15 to 6.12.
struct inet_connection_sock___timeout {
    unsigned long icsk_timeout;
};

// The retransmission timer, in Linux 5.15 to 6.18.
struct inet_connection_sock___retransmit {
    struct timer_list icsk_retransmit_timer;
};

// The retransmission timer, in Linux 7.0 and later: in a union with sk_timer.
struct sock___retransmit {
    struct timer_list tcp_retransmit_timer;
};

// The keepalive timer, in Linux 5.15 to 6.18.
struct sock___keepalive {
    struct timer_list sk_timer;
};

// The keepalive timer, in Linux 7.0 and later and in recent releases of 6.12.
struct inet_connection_sock___keepalive {
    struct timer_list icsk_keepalive_timer;
};

struct tcp_sock {
    struct inet_connection_sock inet_conn;
    __u32 rcv_tstamp;
    __u32 snd_una;
    __u32 write_seq;
    unsigned int keepalive_time;
    unsigned int keepalive_intvl;
    __u8 keepalive_probes;
    _Bool is_mptcp;
};

struct upid {
    int nr;
};

struct pid {
    unsigned int level;
    struct upid numbers[1];
};

struct nsproxy {
    struct net *net_ns;
};

struct task_struct {
    struct nsproxy *nsproxy;
    struct task_struct *group_leader;
    struct pid *thread_pid;
};

struct file;

struct seq_file {
    __u64 size;
    __u64 count;
};

struct bpf_iter_meta {
    struct seq_file *seq;
};

struct bpf_iter__tcp {
    struct bpf_iter_meta *meta;
    struct sock_common *sk_common;
};

struct bpf_iter__task {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
};

struct bpf_iter__task_file {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
    __u32 fd;
    struct file *file;
};

#pragma clang attribute pop

#endif
