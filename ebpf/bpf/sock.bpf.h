/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Addresses of a socket, and the second both network families count into. */
#ifndef TAPIO_SOCK_BPF_H
#define TAPIO_SOCK_BPF_H

#include "common.bpf.h"
#include "network.h"
#include <bpf/bpf_endian.h>

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6

#define SECOND_NS 1000000000ULL

enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
};

enum { EPIPE = 32, EADDRNOTAVAIL = 99, ECONNABORTED = 103, ECONNRESET = 104, ECANCELED = 125 };

static __always_inline bool is_tcp(struct sock *sk, const bool direct)
{
	__u16 family = GET(direct, sk, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) && GET(direct, sk, sk_protocol) == IPPROTO_TCP;
}

static __always_inline struct tcp_sock *tcp_of(struct sock *sk, const bool direct)
{
	return direct ? bpf_skc_to_tcp_sock(sk) : (struct tcp_sock *)sk;
}

static __always_inline void map_v4(__u32 out[4], __u32 address)
{
	out[0] = 0;
	out[1] = 0;
	out[2] = bpf_htonl(0xffff);
	out[3] = address;
}

static __always_inline void peer_of(struct sock *sk, __u32 out[4], const bool direct)
{
	if (GET(direct, sk, __sk_common.skc_family) == AF_INET) {
		map_v4(out, GET(direct, sk, __sk_common.skc_daddr));
		return;
	}
	out[0] = GET(direct, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[0]);
	out[1] = GET(direct, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[1]);
	out[2] = GET(direct, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[2]);
	out[3] = GET(direct, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[3]);
}

static __always_inline void local_of(struct sock *sk, __u32 out[4], const bool direct)
{
	if (GET(direct, sk, __sk_common.skc_family) == AF_INET) {
		map_v4(out, GET(direct, sk, __sk_common.skc_rcv_saddr));
		return;
	}
	out[0] = GET(direct, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[0]);
	out[1] = GET(direct, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[1]);
	out[2] = GET(direct, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[2]);
	out[3] = GET(direct, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[3]);
}

static __always_inline __u32 peer_port_of(struct sock *sk, const bool direct)
{
	return bpf_ntohs(GET(direct, sk, __sk_common.skc_dport));
}

static __always_inline __u32 local_port_of(struct sock *sk, const bool direct)
{
	return GET(direct, sk, __sk_common.skc_num);
}

static __always_inline __u32 netns_of(struct sock *sk, const bool direct)
{
	struct net *net = GET(direct, sk, __sk_common.skc_net.net);

	return GET(direct, net, ns.inum);
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tapio_clock);
} clock SEC(".maps");

/* The UNIX second that runs, modulo 2^32. What is counted belongs to the second in which it happened, however late user
 * space takes it away. A clock costs more to read than all else that is done to count, so it is read once in a tick;
 * the second is at most that late. */
static __always_inline __u32 this_second(void)
{
	__u64 known, tick = bpf_jiffies64() << 32;
	__u32 zero = 0, second;
	struct tapio_clock *at = bpf_map_lookup_elem(&clock, &zero);

	if (!at)
		return 0;
	known = *(volatile __u64 *)&at->of_tick; /* once: other processors write it too */
	if ((__u32)known && (known ^ tick) >> 32 == 0)
		return known;
	second = (bpf_ktime_get_ns() + at->epoch_ns) / SECOND_NS;
	at->of_tick = tick | second;
	return second;
}

/* When the socket last sent or received, CLOCK_MONOTONIC, ns: the stack has read the clock for itself. */
static __always_inline __u64 last_moved(struct tcp_sock *tcp, const bool direct)
{
	return GET(direct, tcp, tcp_mstamp) * 1000;
}

static __always_inline __u64 since(__u64 then, __u64 now)
{
	return now > then ? now - then : 0;
}

#endif
