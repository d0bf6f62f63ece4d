// redirect.bpf.c: socket load balancing as in Cilium, for example: connect() to the service's address becomes one to a backend.
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SERVICE bpf_htonl(0x0a630001) // 10.99.0.1
#define BACKEND bpf_htonl(0x0a4d0002) // 10.77.0.2

SEC("cgroup/connect4")
int redirect(struct bpf_sock_addr *to)
{
    if (to->user_ip4 == SERVICE)
        to->user_ip4 = BACKEND;
    return 1;
}

char LICENSE[] SEC("license") = "GPL";
