// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// states.bpf.h: the part of keepalive.bpf.c that counts the connections that come and go in each namespace, and reports those that go.
#ifndef KEEPALIVE_STATES_BPF_H
#define KEEPALIVE_STATES_BPF_H

enum {
    TCP_ESTABLISHED = 1,
    TCP_SYN_SENT = 2,
    TCP_CLOSE = 7,
    TCP_CLOSE_WAIT = 8,
    TCP_LISTEN = 10,
};

// The namespaces whose connections are counted.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 65536);
    __type(key, __u32);
    __type(value, struct ka_activity);
} activities SEC(".maps");

static __always_inline struct ka_activity *activity_of(__u32 netns)
{
    return bpf_map_lookup_elem(&activities, &netns);
}

// Counts a change that only a reading of the namespace shows.
static __always_inline void leave_to_reading(__u32 netns)
{
    struct ka_activity *activity = activity_of(netns);
    if (activity)
        __sync_fetch_and_add(&activity->untold, 1);
}

// Takes back the count of a new connection (ka_states): a record shows it, or nobody asks for it.
static __always_inline void tell_established(__u32 netns)
{
    struct ka_activity *activity = activity_of(netns);
    if (activity)
        __sync_fetch_and_add(&activity->untold, (__u64)-1);
}

static __always_inline _Bool is_loopback(const __u8 *address)
{
    const __u32 *words = (const __u32 *)address;
    if (words[0] || words[1])
        return 0;
    return words[2] == __builtin_bswap32(0xffff) ? address[12] == 127 : !words[2] && words[3] == __builtin_bswap32(1);
}

// The agent's Endpoint.StayOnHost.
static __always_inline _Bool stays_on_host(const struct ka_tuple *tuple)
{
    const __u64 *local = (const __u64 *)tuple->local, *remote = (const __u64 *)tuple->remote;
    return (local[0] == remote[0] && local[1] == remote[1]) || is_loopback(tuple->remote);
}

static __always_inline void tell_change(struct ka_activity *activity, struct sock_common *sk, int state)
{
    struct ka_settings *setting = get_settings();
    struct ka_tuple tuple = {};
    struct ka_change *change;

    if (setting && activity->batch != setting->batch) {
        activity->batch = setting->batch;
        activity->told = 0;
    }
    change = activity->told < KA_MAX_CHANGES ? bpf_ringbuf_reserve(&arrivals, sizeof *change, 0) : 0;
    if (!change) {
        __sync_fetch_and_add(&activity->untold, 1);
        return;
    }
    __sync_fetch_and_add(&activity->told, 1);
    read_tuple(&tuple, sk);
    change->cookie = (__u64)sk->skc_cookie.counter;
    change->time = bpf_ktime_get_ns();
    change->netns = tuple.netns;
    change->state = (__u8)state;
    change->stays = stays_on_host(&tuple);
    change->reserved = 0;
    bpf_ringbuf_submit(change, BPF_RB_NO_WAKEUP);
}

SEC("tp_btf/inet_sock_set_state")
int ka_states(__u64 *arguments)
{
    struct sock *sk = (struct sock *)arguments[0];
    int from = (int)arguments[1], to = (int)arguments[2];
    struct ka_activity *activity;
    _Bool leaves;

    leaves = from == TCP_ESTABLISHED || from == TCP_CLOSE_WAIT || (to == TCP_CLOSE && from != TCP_SYN_SENT && from != TCP_LISTEN && from != TCP_CLOSE);
    if (!leaves && to != TCP_ESTABLISHED && to != TCP_SYN_SENT && from != TCP_SYN_SENT)
        return 0;
    if (sk->sk_protocol != IPPROTO_TCP)
        return 0;
    activity = activity_of(sk->__sk_common.skc_net.net->ns.inum);
    if (!activity)
        return 0;
    if (to == TCP_SYN_SENT)
        __sync_fetch_and_add(&activity->begun, 1);
    if (from == TCP_SYN_SENT)
        __sync_fetch_and_add(&activity->ended, 1);
    if (to == TCP_ESTABLISHED)
        __sync_fetch_and_add(&activity->untold, 1);
    else if (leaves && sk->__sk_common.skc_cookie.counter) // without a cookie, no record has shown it
        tell_change(activity, &sk->__sk_common, to);
    return 0;
}

#endif
