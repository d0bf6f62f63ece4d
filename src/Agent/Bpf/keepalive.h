// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// keepalive.h: the data that the programs of keepalive.bpf.c and the agent exchange, and nothing else. BpfAbi.cs is its mirror; a test
// compares the two. Addresses are 16 bytes in network order, IPv4 in its mapped form; ports and everything else are in host order.
#ifndef KEEPALIVE_H
#define KEEPALIVE_H

#include <linux/types.h>

#define KA_ADDRESS_BYTES 16

enum ka_flag {
    KA_ON = 1,           // SO_KEEPALIVE
    KA_OWN_TIME = 2,     // set on the socket itself; otherwise the value is the namespace's sysctl
    KA_OWN_INTERVAL = 4,
    KA_OWN_PROBES = 8,
};

struct ka_values {
    __u32 time;          // seconds
    __u32 interval;      // seconds
    __u8 probes;
    __u8 flags;          // enum ka_flag
    __u16 reserved;
    __u32 user_timeout;  // milliseconds; 0 is none, or not shown by this kernel
};

// How to treat a socket whose application has enabled keepalive itself. The numbers are those of the agent's ExistingMode.
enum ka_existing {
    KA_TIGHTEN = 0,
    KA_KEEP = 1,
    KA_REPLACE = 2,
};

// Whether a policy does something about a user timeout of the application's. A pass does it.
enum ka_user_timeout {
    KA_TIMEOUT_KEPT = 0,
    KA_TIMEOUT_CHANGED = 1, // a pass may change it
    KA_TIMEOUT_SKIPS = 2,   // a pass may leave the whole socket as it is
};

// Key of a longest-prefix map. The first 32 bits (family, port) must always match; rules for any port have port 0.
struct ka_prefix {
    __u32 length;        // 32 + leading bits of the address that must match, 128 at most
    __u8 family;         // 4 or 6: ::/0 does not cover IPv4
    __u8 reserved;
    __u16 port;          // 0 = any
    __u8 address[KA_ADDRESS_BYTES];
};

struct ka_rule {
    __u32 rule;          // its index among the policy's rules
    __u16 time;          // seconds; 0 leaves the socket's own value
    __u16 interval;
    __u8 probes;
    __u8 existing;       // enum ka_existing
    __u8 user_timeout;   // enum ka_user_timeout
    __u8 reserved;
};

// The map has one entry. It is written before anything is attached or read.
struct ka_settings {
    __u32 states;        // bit N: sockets in state N are read
    __u8 both_sides;     // a rule may also select a socket by its local end
    __u8 listed_only;    // sockets of namespaces that are not listed are not set
    __u8 is_current;     // the policy map has the whole policy in force
    __u8 reserved;
    __u32 owner;         // the agent's process id, in
    __u32 owner_pidns;   // the PID namespace of this inode number, and
    __u32 batch;         // the pass that reads the next records
    __u64 owner_started; // when it began: shows which programs a dead predecessor has left
};

// Value of the map of namespaces. The key is the inode number of the namespace.
enum ka_scope {
    KA_LEFT_ALONE = 0,
    KA_IN_SCOPE = 1,
};

enum ka_timer {
    KA_TIMER_NONE = 0,
    KA_TIMER_RETRANSMIT = 1,
    KA_TIMER_KEEPALIVE = 2,
    KA_TIMER_PROBE0 = 4,
};

enum ka_kind {
    KA_NO_INODE = 1,     // waits to be accepted, or was closed by its application
    KA_KERNEL = 2,       // the kernel's own
    KA_SUBFLOW = 4,      // of a multipath connection
    KA_SET_AT_ONCE = 8,  // set when it was established: found and set have the values; on others, found has those of a new socket
};

// Columns of a socket that this kernel does not show: the field is in no place known from other kernels.
enum ka_unknown {
    KA_UNKNOWN_TIMER = 1,
    KA_UNKNOWN_EXPIRES = 2,
    KA_UNKNOWN_IDLE = 4,
    KA_UNKNOWN_USER_TIMEOUT = 8,
    KA_UNKNOWN_CGROUP = 16,
    KA_UNKNOWN_UID = 32,
};

struct ka_tuple {
    __u8 local[KA_ADDRESS_BYTES];
    __u8 remote[KA_ADDRESS_BYTES];
    __u16 local_port;
    __u16 remote_port;
    __u32 netns;         // inode number
    __u64 cookie;
};

// The owner of a socket.
struct ka_maker {
    __u64 cgroup;        // id of the cgroup (version 2) that it was made in; 0 if unknown
    __u32 uid;           // its user
    __u32 unknown;       // enum ka_unknown
};

// The state of one socket.
struct ka_socket {
    struct ka_tuple tuple;
    __u8 state;
    __u8 timer;          // enum ka_timer
    __u8 unanswered;     // probes, or retransmissions, by the timer
    __u8 kind;           // enum ka_kind
    __u32 expires;       // milliseconds to the timer's nominal instant
    __u32 idle;          // milliseconds since anything was received
    struct ka_values values;
    struct ka_values found;
    struct ka_values set;
    __u32 unknown;       // enum ka_unknown
    struct ka_maker maker;
};

// A planned change of one socket, by its cookie. It is made only if the socket still has the expected values.
struct ka_plan {
    struct ka_values expected;
    struct ka_values wanted;
    __u8 even_if_probing;
    __u8 ask;            // enum ka_ask
    __u16 reserved;
};

// A planned change in the queue.
struct ka_queued {
    __u64 cookie;
    struct ka_plan plan;
    __u32 reserved;
};

// The map has one entry.
struct ka_queue {
    __u32 next;          // the place of the next plan
    __u32 count;         // plans in the queue
};

// The steps that make a socket send a probe now. Its time is set to one second, and restored after the probe was sent.
enum ka_ask {
    KA_ASK = 1,          // set the time to one second, if the socket may be asked now
    KA_ASKED = 2,        // restore the time, if the probe was sent
    KA_ASKED_LAST = 3,   // restore the time
};

enum ka_result {
    KA_DONE = 0,
    KA_PROBING = 1,      // not changed: its probes are unanswered
    KA_CHANGED = 2,      // not changed: its values were changed by others in the meantime
    KA_REFUSED = 3,      // a write failed; error has the errno
    KA_MISMATCH = 4,     // its values differ from those written
    KA_NOT_NOW = 5,      // not changed: it cannot be asked now
    KA_NOT_SENT = 6,     // not changed: the probe has not been sent
};

// The outcome of a plan.
struct ka_outcome {
    __u64 cookie;
    struct ka_values values; // now
    __u32 result;            // enum ka_result
    __s32 error;             // of the write, negative
    __u32 unanswered;        // probes; only if the plan has ask
    __u32 idle;              // milliseconds since anything was received, before the write; only if the plan has ask
};

// A socket that was set when it was established.
struct ka_arrival {
    struct ka_tuple tuple;
    struct ka_values found;
    struct ka_values set;
    struct ka_maker maker;
};

// The kernel's memory of such a socket until the agent has changed it.
struct ka_memory {
    struct ka_values found;
    struct ka_values set;
    __u32 netns;         // inode number
    __u32 reserved;
};

enum ka_limit {
    KA_MAX_CHANGES = 256, // records of a namespace's closed connections in one batch; more are only counted
    KA_MAX_QUEUED = 32768, // plans in the queue
};

// Counts of the connections of a namespace since it was listed. The key is its inode number. Each number is read as a whole: only
// whether it has moved counts.
struct ka_activity {
    __u64 untold;        // changes that no record shows
    __u64 begun;         // connections that were begun here
    __u64 ended;         // of those, the ones that were established or have failed
    __u32 batch;         // the batch of
    __u32 told;          // records of closed connections
};

// A connection that one of its ends has closed, or that has ended.
struct ka_change {
    __u64 cookie;
    __u64 time;          // nanoseconds (CLOCK_MONOTONIC)
    __u32 netns;         // inode number
    __u8 state;          // its new state
    __u8 stays;          // its addresses show that it does not leave its host
    __u16 reserved;
};

// A descriptor of a TCP socket, and the values of that socket.
struct ka_owner {
    __u64 cookie;
    __u32 pid;           // in the reader's PID namespace
    __u32 netns;         // inode number of the socket's network namespace
    struct ka_values values;
};

// A process.
struct ka_process {
    __u32 pid;           // in the reader's PID namespace
    __u32 netns;         // inode number of the network namespace it lives in
};

enum ka_counter {
    KA_LOST = 0,         // arrivals that found no room in the ring
    KA_UNREMEMBERED = 1, // sockets left to the next pass: no memory to remember them
    KA_FAILED = 2,       // sockets left to the next pass: a write failed
    KA_COUNTERS = 3,
};

// The packet that the test of matching sends: addresses and port in, rule out.
struct ka_match_test {
    __u8 header[16];     // where an Ethernet header would be
    __u8 local[KA_ADDRESS_BYTES];
    __u8 remote[KA_ADDRESS_BYTES];
    __u16 local_port;
    __u16 remote_port;
    __u32 found;         // 1 when a rule selects it
    struct ka_rule rule;
};

#endif
