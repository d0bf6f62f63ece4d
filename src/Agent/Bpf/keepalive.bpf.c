// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// keepalive.bpf.c: the part of the agent that runs in the kernel.
//
//   ka_established   sets a connection when it is established, by the policy maps, and reports it through a ring
//   ka_own_setting   notes the values that an application itself writes to such a socket
//   ka_states        counts the connections that come and go in each namespace, and reports those that go: a namespace is read only if the
//                    reports do not show everything (states.bpf.h)
//   ka_read          one record for each TCP socket of the reader's network namespace; changes nothing
//   ka_apply         makes the changes that the agent has planned for some of them, each under its lock, and reports the outcome
//   ka_processes     one record for each process that the reader's PID namespace shows
//   ka_owners        one record for each descriptor of a TCP socket that the reader's PID namespace shows, in all network namespaces
//
// The agent decides about a socket that exists already, and notes the decision in its state file before the socket is written.
#include "kernel.h"
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "keepalive.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum {
    SOL_SOCKET = 1,
    SO_KEEPALIVE = 9,
    IPPROTO_TCP = 6,
    TCP_KEEPIDLE = 4,
    TCP_KEEPINTVL = 5,
    TCP_KEEPCNT = 6,
    TCP_USER_TIMEOUT = 18,
    SOCK_KEEPOPEN = 3, // enum sock_flags, unchanged since Linux 2.6
    AF_INET = 2,
    AF_INET6 = 10,
    ICSK_TIME_RETRANS = 1,
    ICSK_TIME_PROBE0 = 3,
    ICSK_TIME_LOSS_PROBE = 5,
    ICSK_TIME_REO_TIMEOUT = 6,
    MAX_SECONDS = 32767, // include/net/tcp.h, MAX_TCP_KEEP*: beyond them the kernel refuses
    MAX_PROBES = 127,
};

// Ticks of the kernel's clock in a second: the kernel's times are in ticks.
const volatile __u32 ticks_per_second = 250;

// Sizes instead of types: the agent creates its maps without BTF. Before Linux 6.2, a slot for maps with BTF does not take one without BTF
// (kernel/bpf/map_in_map.c, bpf_map_meta_equal: the offset of a timer is -ENOENT in one and -EINVAL in the other).
struct rules {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __uint(key_size, sizeof(struct ka_prefix));
    __uint(value_size, sizeof(struct ka_rule));
} no_rules SEC(".maps");

// The policy in force, always replaced as a whole: a running program keeps the map that it has looked up until it ends.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1);
    __type(key, __u32);
    __array(values, struct rules);
} policy SEC(".maps") = { .values = { &no_rules } };

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct ka_settings);
} settings SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 65536);
    __type(key, __u64);
    __type(value, __u32);
} namespaces SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct ka_memory);
} memories SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 65536);
    __type(key, __u64);
    __type(value, struct ka_plan);
} plans SEC(".maps");

// Plans of many sockets, in the order in which a walk shows the sockets: the next one is found without a search.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, KA_MAX_QUEUED);
    __type(key, __u32);
    __type(value, struct ka_queued);
} queue SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct ka_queue);
} queue_state SEC(".maps");

// The agent reads it once in each pass. It has struct ka_arrival and struct ka_change, which differ in size. At the default interval it has
// room for some 8,000 connections a second.
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4 * 1024 * 1024);
} arrivals SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, KA_COUNTERS);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

static __always_inline struct ka_settings *get_settings(void)
{
    __u32 only = 0;
    return bpf_map_lookup_elem(&settings, &only);
}

static __always_inline void count(__u32 counter)
{
    __u64 *value = bpf_map_lookup_elem(&counters, &counter);
    if (value)
        *value += 1;
}

static __always_inline void copy_address(__u8 *to, struct sock_common *sk, _Bool local)
{
    if (sk->skc_family == AF_INET6) {
        __builtin_memcpy(to, local ? &sk->skc_v6_rcv_saddr : &sk->skc_v6_daddr, KA_ADDRESS_BYTES);
    } else {
        __be32 address = local ? sk->skc_rcv_saddr : sk->skc_daddr;
        __builtin_memset(to, 0, 10);
        __builtin_memset(to + 10, 0xff, 2);
        __builtin_memcpy(to + 12, &address, 4);
    }
}

static __always_inline void read_tuple(struct ka_tuple *tuple, struct sock_common *sk)
{
    copy_address(tuple->local, sk, 1);
    copy_address(tuple->remote, sk, 0);
    tuple->local_port = sk->skc_num;
    tuple->remote_port = __builtin_bswap16(sk->skc_dport);
    tuple->netns = sk->skc_net.net->ns.inum;
}

static __always_inline void read_values(struct ka_values *values, struct tcp_sock *tp)
{
    struct sock_common *sk = &tp->inet_conn.icsk_inet.sk.__sk_common;
    struct netns_ipv4 *sysctls = &sk->skc_net.net->ipv4;
    unsigned int time = tp->keepalive_time, interval = tp->keepalive_intvl;
    __u8 probes = tp->keepalive_probes;

    values->flags = (sk->skc_flags & (1UL << SOCK_KEEPOPEN) ? KA_ON : 0) | (time ? KA_OWN_TIME : 0) | (interval ? KA_OWN_INTERVAL : 0)
        | (probes ? KA_OWN_PROBES : 0);
    values->time = (time ? time : (unsigned int)sysctls->sysctl_tcp_keepalive_time) / ticks_per_second;
    values->interval = (interval ? interval : (unsigned int)sysctls->sysctl_tcp_keepalive_intvl) / ticks_per_second;
    values->probes = probes ? probes : sysctls->sysctl_tcp_keepalive_probes;
    values->reserved = 0;
    values->user_timeout = bpf_core_field_exists(tp->inet_conn.icsk_user_timeout) ? tp->inet_conn.icsk_user_timeout : 0;
}

// Reads the values of a new socket of the same namespace.
static __always_inline void read_defaults(struct ka_values *values, struct sock_common *sk)
{
    struct netns_ipv4 *sysctls = &sk->skc_net.net->ipv4;

    values->time = (unsigned int)sysctls->sysctl_tcp_keepalive_time / ticks_per_second;
    values->interval = (unsigned int)sysctls->sysctl_tcp_keepalive_intvl / ticks_per_second;
    values->probes = sysctls->sysctl_tcp_keepalive_probes;
}

static __always_inline _Bool same_values(const struct ka_values *a, const struct ka_values *b)
{
    return a->time == b->time && a->interval == b->interval && a->probes == b->probes && a->user_timeout == b->user_timeout
        && !((a->flags ^ b->flags) & KA_ON);
}

static __always_inline _Bool is_kernels(struct tcp_sock *tp)
{
    return BPF_CORE_READ_BITFIELD(&tp->inet_conn.icsk_inet.sk, sk_kern_sock);
}

static __always_inline void read_maker(struct ka_maker *maker, struct tcp_sock *tp)
{
    struct sock *sk = &tp->inet_conn.icsk_inet.sk;
    struct cgroup *cgroup = 0;
    struct kernfs_node *node = 0;

    maker->cgroup = 0;
    maker->uid = 0;
    maker->unknown = 0;
    if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup) && bpf_core_field_exists(cgroup->kn) && bpf_core_field_exists(node->id)) {
        cgroup = sk->sk_cgrp_data.cgroup;
        node = cgroup ? cgroup->kn : 0;
        if (node)
            maker->cgroup = node->id;
    } else {
        maker->unknown |= KA_UNKNOWN_CGROUP;
    }
    if (bpf_core_field_exists(sk->sk_uid.val))
        maker->uid = sk->sk_uid.val;
    else
        maker->unknown |= KA_UNKNOWN_UID;
}

static __always_inline _Bool is_subflow(struct tcp_sock *tp)
{
    return bpf_core_field_exists(tp->is_mptcp) && tp->is_mptcp;
}

// ---- matching: the same function as the agent's CompiledPolicy.Match ----

static __always_inline _Bool is_mapped(const __u8 *address)
{
    const __u32 *words = (const __u32 *)address;
    return words[0] == 0 && words[1] == 0 && words[2] == __builtin_bswap32(0xffff);
}

static __always_inline struct ka_rule *match_end(void *rules, const __u8 *address, __u16 port)
{
    struct ka_prefix key = { .length = 32 + 8 * KA_ADDRESS_BYTES, .port = port };
    struct ka_rule *rule;

    key.family = is_mapped(address) ? 4 : 6;
    __builtin_memcpy(key.address, address, KA_ADDRESS_BYTES);
    if (port) {
        rule = bpf_map_lookup_elem(rules, &key);
        if (rule)
            return rule;
        key.port = 0;
    }
    return bpf_map_lookup_elem(rules, &key);
}

static __always_inline struct ka_rule *match(const struct ka_tuple *tuple, _Bool both_sides)
{
    __u32 only = 0;
    void *rules = bpf_map_lookup_elem(&policy, &only);
    struct ka_rule *rule;

    if (!rules)
        return 0;
    rule = match_end(rules, tuple->remote, tuple->remote_port);
    if (!rule && both_sides)
        rule = match_end(rules, tuple->local, tuple->local_port);
    return rule;
}

#include "states.bpf.h"

// ---- new connections ----

// Whether a rule applies in any case, even if the application switches keepalive on in the next moment. If the result depends on the
// application, the next pass decides. A user timeout that may have to be changed is changed by the pass, together with the other values:
// only then has the state file its earlier value.
static __always_inline _Bool applies_at_once(const struct ka_rule *rule, const struct ka_values *found)
{
    if (rule->user_timeout == KA_TIMEOUT_SKIPS || (rule->user_timeout == KA_TIMEOUT_CHANGED && found->user_timeout))
        return 0;
    return rule->existing == KA_REPLACE || (rule->existing == KA_TIGHTEN && rule->time && rule->time < found->time);
}

static __always_inline int set_option(struct bpf_sock_ops *ops, int level, int name, __u32 value)
{
    int number = (int)value;
    return bpf_setsockopt(ops, level, name, &number, sizeof number);
}

// Whether it can be written to a socket: a sysctl's value may be outside this range.
static __always_inline _Bool is_settable(__u32 seconds)
{
    return seconds >= 1 && seconds <= MAX_SECONDS;
}

// Interval, probes, on, time: in this order the idle time so far counts. Time is written last even if it is equal, because switching on has
// started the timer with the full time. (net/ipv4/tcp.c, __tcp_sock_set_keepidle_locked)
static __always_inline int set_established(struct bpf_sock_ops *ops, const struct ka_values *from, const struct ka_values *to)
{
    int error = 0;
    if (from->interval != to->interval)
        error = set_option(ops, IPPROTO_TCP, TCP_KEEPINTVL, to->interval);
    if (!error && from->probes != to->probes)
        error = set_option(ops, IPPROTO_TCP, TCP_KEEPCNT, to->probes);
    if (!error && !(from->flags & KA_ON))
        error = set_option(ops, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (!error && (from->time != to->time || (!(from->flags & KA_ON) && is_settable(to->time))))
        error = set_option(ops, IPPROTO_TCP, TCP_KEEPIDLE, to->time);
    return error;
}

static __always_inline _Bool report(const struct ka_tuple *tuple, const struct ka_memory *memory, struct tcp_sock *tp)
{
    struct ka_arrival *arrival = bpf_ringbuf_reserve(&arrivals, sizeof *arrival, 0);

    if (!arrival) {
        count(KA_LOST);
        return 0;
    }
    arrival->tuple = *tuple;
    arrival->found = memory->found;
    arrival->set = memory->set;
    read_maker(&arrival->maker, tp);
    // The agent reads the ring in its passes: to wake it for each connection would cost more than all the rest.
    bpf_ringbuf_submit(arrival, BPF_RB_NO_WAKEUP);
    return 1;
}

SEC("sockops")
int ka_established(struct bpf_sock_ops *ops)
{
    struct ka_settings *setting = get_settings();
    struct bpf_sock *sk = ops->sk;
    struct ka_memory memory = {}, *remembered;
    struct ka_tuple tuple = {};
    struct tcp_sock *tp;
    struct sock_common *common;
    struct ka_rule *rule;
    _Bool is_own, is_dispensable;
    __u64 netns;
    __u32 *scope;

    if (!setting || !sk)
        return 1;
    if (ops->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && ops->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
        return 1;
    tp = bpf_skc_to_tcp_sock(sk);
    if (!tp || is_kernels(tp) || is_subflow(tp))
        return 1;
    common = &tp->inet_conn.icsk_inet.sk.__sk_common;
    netns = common->skc_net.net->ns.inum;
    scope = bpf_map_lookup_elem(&namespaces, &netns);
    if (scope ? *scope != KA_IN_SCOPE : setting->listed_only)
        return 1;
    read_tuple(&tuple, common);
    // The agent has no use for a connection that no rule selects and that does not leave the host.
    is_dispensable = setting->is_current && stays_on_host(&tuple);
    is_own = ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || setting->both_sides;
    if (!is_own && !is_dispensable)
        return 1;
    rule = match(&tuple, setting->both_sides);
    if (!rule && is_dispensable)
        tell_established(tuple.netns);
    if (!rule || !is_own)
        return 1;
    read_values(&memory.found, tp);
    if (!applies_at_once(rule, &memory.found))
        return 1;
    memory.set = memory.found;
    memory.set.flags |= KA_ON;
    if (rule->time) {
        memory.set.time = rule->time;
        memory.set.flags |= KA_OWN_TIME;
    }
    if (rule->interval) {
        memory.set.interval = rule->interval;
        memory.set.flags |= KA_OWN_INTERVAL;
    }
    if (rule->probes) {
        memory.set.probes = rule->probes;
        memory.set.flags |= KA_OWN_PROBES;
    }
    if (same_values(&memory.found, &memory.set))
        return 1;
    memory.netns = tuple.netns;
    remembered = bpf_sk_storage_get(&memories, sk, &memory, BPF_SK_STORAGE_GET_F_CREATE);
    if (!remembered) {
        count(KA_UNREMEMBERED);
        return 1;
    }
    // A socket may have an earlier memory: it is replaced.
    *remembered = memory;
    if (set_established(ops, &memory.found, &memory.set)) {
        // Only a security module can be the reason. With keepalive off the other values have no effect, and the pass reads what there is.
        if (!(memory.found.flags & KA_ON))
            set_option(ops, SOL_SOCKET, SO_KEEPALIVE, 0);
        bpf_sk_storage_delete(&memories, sk);
        count(KA_FAILED);
        return 1;
    }
    tuple.cookie = bpf_get_socket_cookie(ops);
    if (report(&tuple, &memory, tp))
        tell_established(tuple.netns);
    return 1;
}

// Values that an application writes right after it has connected are its own first setting. They are judged and restored as such. If they
// equal the values that were set, or are SO_KEEPALIVE alone, the socket itself does not show that they were written.
SEC("cgroup/setsockopt")
int ka_own_setting(struct bpf_sockopt *ctx)
{
    int *option = ctx->optval, level = ctx->level, name = ctx->optname;
    struct ka_memory *memory;
    struct ka_values *own;

    if (((level == SOL_SOCKET && name == SO_KEEPALIVE)
            || (level == IPPROTO_TCP && ((name >= TCP_KEEPIDLE && name <= TCP_KEEPCNT) || name == TCP_USER_TIMEOUT)))
        && ctx->sk && (void *)(option + 1) <= ctx->optval_end) {
        memory = bpf_sk_storage_get(&memories, ctx->sk, 0, 0);
        if (memory) {
            int value = *option;
            own = &memory->found;
            leave_to_reading(memory->netns);
            if (level == SOL_SOCKET) {
                own->flags = value ? own->flags | KA_ON : own->flags & ~KA_ON;
            } else if (name == TCP_KEEPIDLE && is_settable(value)) {
                own->time = value;
                own->flags |= KA_OWN_TIME;
            } else if (name == TCP_KEEPINTVL && is_settable(value)) {
                own->interval = value;
                own->flags |= KA_OWN_INTERVAL;
            } else if (name == TCP_KEEPCNT && value >= 1 && value <= MAX_PROBES) {
                own->probes = value;
                own->flags |= KA_OWN_PROBES;
            }
        }
    }
    // With 0 the kernel uses the caller's own buffer, whatever its size.
    ctx->optlen = 0;
    return 1;
}

// ---- existing sockets ----

static __always_inline __u32 milliseconds(__u64 ticks)
{
    return (__u32)(ticks * 1000 / ticks_per_second);
}

static __always_inline __u32 time_left(unsigned long expires)
{
    __s64 ticks = (__s64)(expires - bpf_jiffies64());
    return ticks > 0 ? milliseconds((__u64)ticks) : 0;
}

// If this kernel does not have a field, the record marks its column as unknown. kernel.h says for which fields this is allowed.

static __always_inline void read_retransmit_expires(struct ka_socket *record, struct inet_connection_sock *icsk)
{
    struct inet_connection_sock___timeout *with_timeout = (void *)icsk;
    struct inet_connection_sock___retransmit *with_timer = (void *)icsk;
    struct sock___retransmit *sk = (void *)icsk;

    if (bpf_core_field_exists(with_timeout->icsk_timeout))
        record->expires = time_left(with_timeout->icsk_timeout);
    else if (bpf_core_field_exists(with_timer->icsk_retransmit_timer.expires))
        record->expires = time_left(with_timer->icsk_retransmit_timer.expires);
    else if (bpf_core_field_exists(sk->tcp_retransmit_timer.expires))
        record->expires = time_left(sk->tcp_retransmit_timer.expires);
    else
        record->unknown |= KA_UNKNOWN_EXPIRES;
}

static __always_inline void read_keepalive_timer(struct ka_socket *record, struct inet_connection_sock *icsk)
{
    struct inet_connection_sock___keepalive *newer = (void *)icsk;
    struct sock___keepalive *older = (void *)icsk;
    struct hlist_node **pending = 0;
    unsigned long expires = 0;

    if (bpf_core_field_exists(newer->icsk_keepalive_timer.entry.pprev) && bpf_core_field_exists(newer->icsk_keepalive_timer.expires)) {
        pending = newer->icsk_keepalive_timer.entry.pprev;
        expires = newer->icsk_keepalive_timer.expires;
    } else if (bpf_core_field_exists(older->sk_timer.entry.pprev) && bpf_core_field_exists(older->sk_timer.expires)) {
        pending = older->sk_timer.entry.pprev;
        expires = older->sk_timer.expires;
    } else {
        record->unknown |= KA_UNKNOWN_TIMER | KA_UNKNOWN_EXPIRES;
        record->unanswered = icsk->icsk_probes_out;
        return;
    }
    if (pending) {
        record->timer = KA_TIMER_KEEPALIVE;
        record->unanswered = icsk->icsk_probes_out;
        record->expires = time_left(expires);
    }
}

// The same as net/ipv4/inet_diag.c (inet_sk_diag_fill): a pending retransmission hides keepalive.
static __always_inline void read_timer(struct ka_socket *record, struct tcp_sock *tp)
{
    struct inet_connection_sock *icsk = &tp->inet_conn;
    __u8 pending;

    if (!bpf_core_field_exists(icsk->icsk_pending)) {
        record->unknown |= KA_UNKNOWN_TIMER | KA_UNKNOWN_EXPIRES;
        record->unanswered = icsk->icsk_probes_out;
        return;
    }
    pending = icsk->icsk_pending;
    if (pending == ICSK_TIME_RETRANS || pending == ICSK_TIME_REO_TIMEOUT || pending == ICSK_TIME_LOSS_PROBE) {
        record->timer = KA_TIMER_RETRANSMIT;
        if (bpf_core_field_exists(icsk->icsk_retransmits))
            record->unanswered = icsk->icsk_retransmits;
        read_retransmit_expires(record, icsk);
    } else if (pending == ICSK_TIME_PROBE0) {
        record->timer = KA_TIMER_PROBE0;
        record->unanswered = icsk->icsk_probes_out;
        read_retransmit_expires(record, icsk);
    } else {
        read_keepalive_timer(record, icsk);
    }
}

// include/net/tcp.h, keepalive_time_elapsed
static __always_inline _Bool try_read_idle(__u32 *idle, struct tcp_sock *tp)
{
    struct inet_connection_sock *icsk = &tp->inet_conn;
    __u32 now, data, any;

    if (!bpf_core_field_exists(icsk->icsk_ack.lrcvtime) || !bpf_core_field_exists(tp->rcv_tstamp))
        return 0;
    now = (__u32)bpf_jiffies64();
    data = now - icsk->icsk_ack.lrcvtime;
    any = now - tp->rcv_tstamp;
    *idle = milliseconds(data < any ? data : any);
    return 1;
}

static __always_inline void read_idle(struct ka_socket *record, struct tcp_sock *tp)
{
    if (!try_read_idle(&record->idle, tp))
        record->unknown |= KA_UNKNOWN_IDLE;
}

SEC("iter/tcp")
int ka_read(struct bpf_iter__tcp *ctx)
{
    struct ka_settings *setting = get_settings();
    struct sock_common *common = ctx->sk_common;
    struct ka_socket record = {};
    struct ka_memory *memory;
    struct tcp_sock *tp;

    if (!common || !setting || !(setting->states >> (common->skc_state & 31) & 1))
        return 0;
    tp = bpf_skc_to_tcp_sock(common);
    if (!tp)
        return 0; // a request or in TIME_WAIT: it has no options
    read_tuple(&record.tuple, common);
    record.tuple.cookie = bpf_get_socket_cookie(common);
    record.state = common->skc_state;
    read_timer(&record, tp);
    record.kind = (tp->inet_conn.icsk_inet.sk.sk_socket ? 0 : KA_NO_INODE) | (is_kernels(tp) ? KA_KERNEL : 0) | (is_subflow(tp) ? KA_SUBFLOW : 0);
    read_idle(&record, tp);
    if (!bpf_core_field_exists(tp->inet_conn.icsk_user_timeout))
        record.unknown |= KA_UNKNOWN_USER_TIMEOUT;
    read_maker(&record.maker, tp);
    read_values(&record.values, tp);
    memory = bpf_sk_storage_get(&memories, common, 0, 0);
    if (memory) {
        record.kind |= KA_SET_AT_ONCE;
        record.found = memory->found;
        record.set = memory->set;
    } else {
        read_defaults(&record.found, common);
    }
    bpf_seq_write(ctx->meta->seq, &record, sizeof record);
    return 0;
}

static __always_inline int write_option(struct tcp_sock *tp, int level, int name, __u32 value)
{
    int number = (int)value;
    return bpf_setsockopt(tp, level, name, &number, sizeof number);
}

static __always_inline int write_values(struct tcp_sock *tp, const struct ka_values *from, const struct ka_values *to)
{
    _Bool on = to->flags & KA_ON, switches = (from->flags ^ to->flags) & KA_ON;
    int error = 0;

    if (switches && !on)
        error = write_option(tp, SOL_SOCKET, SO_KEEPALIVE, 0);
    if (!error && from->user_timeout != to->user_timeout)
        error = write_option(tp, IPPROTO_TCP, TCP_USER_TIMEOUT, to->user_timeout);
    if (!error && from->interval != to->interval)
        error = write_option(tp, IPPROTO_TCP, TCP_KEEPINTVL, to->interval);
    if (!error && from->probes != to->probes)
        error = write_option(tp, IPPROTO_TCP, TCP_KEEPCNT, to->probes);
    if (!error && switches && on)
        error = write_option(tp, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (!error && (from->time != to->time || (switches && on && is_settable(to->time))))
        error = write_option(tp, IPPROTO_TCP, TCP_KEEPIDLE, to->time);
    return error;
}

enum {
    ASK_LEAST_IDLE = 1000, // milliseconds: TCP_KEEPIDLE has no shorter time
    ASK_MARGIN = 2,        // seconds: its own time is near
};

// Whether a socket may send a probe, and get its value again while that probe is unanswered. No: with data in flight, if the probe is the
// last one allowed, near the socket's own time, or if the kernel does not show these fields. The agent plans it only if its user timeout
// allows a lost probe, and the plan has that user timeout.
static __always_inline _Bool may_be_asked(const struct ka_outcome *outcome, struct tcp_sock *tp)
{
    struct inet_connection_sock *icsk = &tp->inet_conn;
    const struct ka_values *values = &outcome->values;

    if (!bpf_core_field_exists(tp->snd_una) || !bpf_core_field_exists(tp->write_seq) || !bpf_core_field_exists(icsk->icsk_user_timeout))
        return 0;
    return icsk->icsk_inet.sk.__sk_common.skc_state == TCP_ESTABLISHED && tp->snd_una == tp->write_seq
        && !outcome->unanswered && (values->flags & KA_ON) && values->probes >= 2 && values->time > ASK_MARGIN + 1
        && outcome->idle >= ASK_LEAST_IDLE && outcome->idle < (values->time - ASK_MARGIN) * 1000;
}

// Finds the plan of a socket in the queue. Sockets that are gone since they were planned are passed over, if they are few in a row. A plan that is
// not found is left: the agent sees that it has no outcome.
static __always_inline struct ka_plan *find_queued(struct ka_queue *state, __u64 cookie)
{
    __u32 at = state->next;

#pragma unroll
    for (int i = 0; i < 4; i++, at++) {
        struct ka_queued *queued = at < state->count ? bpf_map_lookup_elem(&queue, &at) : 0;
        if (!queued)
            return 0;
        if (queued->cookie == cookie) {
            state->next = at;
            return &queued->plan;
        }
    }
    return 0;
}

SEC("iter/tcp")
int ka_apply(struct bpf_iter__tcp *ctx)
{
    struct seq_file *seq = ctx->meta->seq;
    struct sock_common *common = ctx->sk_common;
    struct ka_outcome outcome = {};
    struct ka_queue *state;
    struct ka_plan *plan, *queued;
    struct tcp_sock *tp;
    _Bool shows_idle = 0;
    __u32 only = 0;
    __u64 cookie;

    state = bpf_map_lookup_elem(&queue_state, &only);
    if (!common || !state)
        return 0;
    tp = bpf_skc_to_tcp_sock(common);
    if (!tp)
        return 0;
    cookie = bpf_get_socket_cookie(common);
    queued = find_queued(state, cookie);
    plan = queued ? queued : bpf_map_lookup_elem(&plans, &cookie);
    if (!plan)
        return 0;
    outcome.cookie = cookie;
    if (seq->size - seq->count <= sizeof outcome) { // a buffer filled to its last byte counts as too small (fs/seq_file.c, seq_write)
        // A record written to the sequence does not fit. This ends the read, and the next read begins with this socket again.
        // So nothing may be changed yet: the record of the change would be dropped, and the agent would not see the change.
        bpf_seq_write(seq, &outcome, sizeof outcome);
        return 0;
    }
    read_values(&outcome.values, tp);
    if (plan->ask) {
        outcome.unanswered = tp->inet_conn.icsk_probes_out;
        shows_idle = try_read_idle(&outcome.idle, tp);
    }
    if (!same_values(&outcome.values, &plan->expected)) {
        outcome.result = KA_CHANGED;
    } else if (plan->ask) {
        if (plan->ask == KA_ASK && (!shows_idle || !may_be_asked(&outcome, tp))) {
            outcome.result = KA_NOT_NOW;
        } else if (plan->ask == KA_ASKED && !outcome.unanswered && outcome.idle >= ASK_LEAST_IDLE) {
            outcome.result = KA_NOT_SENT;
        } else {
            outcome.error = write_option(tp, IPPROTO_TCP, TCP_KEEPIDLE, plan->wanted.time);
            read_values(&outcome.values, tp);
            outcome.result = outcome.error ? KA_REFUSED : same_values(&outcome.values, &plan->wanted) ? KA_DONE : KA_MISMATCH;
        }
    } else if (tp->inet_conn.icsk_probes_out && (outcome.values.flags & KA_ON) && !plan->even_if_probing) {
        outcome.result = KA_PROBING;
    } else {
        outcome.error = write_values(tp, &plan->expected, &plan->wanted);
        read_values(&outcome.values, tp);
        outcome.result = outcome.error ? KA_REFUSED : same_values(&outcome.values, &plan->wanted) ? KA_DONE : KA_MISMATCH;
        // From now on the agent keeps the memory of it.
        bpf_sk_storage_delete(&memories, common);
    }
    if (queued)
        state->next += 1;
    else
        bpf_map_delete_elem(&plans, &cookie);
    bpf_seq_write(seq, &outcome, sizeof outcome);
    return 0;
}

// ---- owners of sockets ----

// The id of a process as the reading process sees it; 0 if it does not see the process.
static __always_inline __u32 visible_id(struct task_struct *task)
{
    struct task_struct *reader = (void *)bpf_get_current_task();
    struct pid *id = BPF_CORE_READ(task, group_leader, thread_pid);
    unsigned int level = BPF_CORE_READ(reader, thread_pid, level);
    int number = 0;

    if (!id || level > BPF_CORE_READ(id, level))
        return 0;
    bpf_probe_read_kernel(&number, sizeof number,
        (void *)id + bpf_core_field_offset(id->numbers) + (level & 31) * bpf_core_type_size(struct upid));
    return (__u32)number;
}

SEC("iter/task")
int ka_processes(struct bpf_iter__task *ctx)
{
    struct task_struct *task = ctx->task;
    struct ka_process process = {};
    struct nsproxy *namespaces;

    if (!task || task->group_leader != task)
        return 0;
    namespaces = task->nsproxy;
    if (!namespaces)
        return 0; // has ended
    process.netns = namespaces->net_ns->ns.inum;
    process.pid = visible_id(task);
    if (process.pid)
        bpf_seq_write(ctx->meta->seq, &process, sizeof process);
    return 0;
}

SEC("iter/task_file")
int ka_owners(struct bpf_iter__task_file *ctx)
{
    struct file *file = ctx->file;
    struct task_struct *task = ctx->task;
    struct ka_owner owner = {};
    struct socket *socket;
    struct tcp_sock *tp;
    struct sock *sk;

    if (!file || !task)
        return 0;
    socket = bpf_sock_from_file(file);
    if (!socket)
        return 0;
    sk = socket->sk;
    if (!sk)
        return 0;
    tp = bpf_skc_to_tcp_sock(sk);
    if (!tp)
        return 0;
    owner.cookie = bpf_get_socket_cookie(sk);
    owner.pid = visible_id(task);
    owner.netns = tp->inet_conn.icsk_inet.sk.__sk_common.skc_net.net->ns.inum;
    read_values(&owner.values, tp);
    if (owner.cookie && owner.pid)
        bpf_seq_write(ctx->meta->seq, &owner, sizeof owner);
    return 0;
}

// ---- only for the test of matching: the agent does not load it ----

SEC("tc")
int ka_match(struct __sk_buff *packet)
{
    struct ka_match_test *test = (void *)(long)packet->data;
    struct ka_tuple tuple = {};
    struct ka_rule *rule;

    if ((void *)(test + 1) > (void *)(long)packet->data_end)
        return 0;
    __builtin_memcpy(tuple.local, test->local, KA_ADDRESS_BYTES);
    __builtin_memcpy(tuple.remote, test->remote, KA_ADDRESS_BYTES);
    tuple.local_port = test->local_port;
    tuple.remote_port = test->remote_port;
    rule = match(&tuple, 1);
    test->found = rule != 0;
    if (rule)
        test->rule = *rule;
    return 1;
}
