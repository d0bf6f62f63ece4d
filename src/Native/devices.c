// SPDX-License-Identifier: Apache-2.0
// Empty stand-ins for libpcap's device modules other than packet sockets: D-Bus, Bluetooth, USB, netfilter and RDMA monitors.
// The linker takes these symbols instead of libpcap.a's members, so that neither libdbus nor those devices become part of the programs.
// Signatures: libpcap's pcap-int.h, capture_source_types in pcap-linux.c.

struct pcap;
struct pcap_if_list;

#define NO_DEVICE(name)                                                                                                                      \
    struct pcap *name##_create(const char *device, char *errors, int *is_ours)                                                               \
    {                                                                                                                                        \
        (void)device, (void)errors;                                                                                                          \
        *is_ours = 0;                                                                                                                        \
        return 0;                                                                                                                            \
    }                                                                                                                                        \
    int name##_findalldevs(struct pcap_if_list *devices, char *errors)                                                                       \
    {                                                                                                                                        \
        (void)devices, (void)errors;                                                                                                         \
        return 0;                                                                                                                            \
    }

NO_DEVICE(bt)
NO_DEVICE(bt_monitor)
NO_DEVICE(dbus)
NO_DEVICE(netfilter)
NO_DEVICE(rdmasniff)
NO_DEVICE(usb)
