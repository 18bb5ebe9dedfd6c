/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Why an attempt to connect failed: what its socket says, or what ICMP had said of it. A part of network.bpf.c. */
#ifndef TAPIO_CONNECT_ERROR_BPF_H
#define TAPIO_CONNECT_ERROR_BPF_H

#include "connections.bpf.h"

/* Nobody waits for an answer less than this: who closes earlier has a reason of his own, such as another connection
 * that was faster. */
#define LEAST_PATIENCE_NS 10000000ULL

enum { ORIGIN_ICMP = 2, ORIGIN_ICMP6 = 3 }; /* SO_EE_ORIGIN_* */

/* What ICMP has just said of a socket, an errno; 0: nothing. */
static __always_inline __u32 said_by_icmp(struct sock *sk)
{
	struct sk_buff *packet = BPF_CORE_READ(sk, sk_error_queue.prev);
	struct sock_exterr_skb *said;
	__u8 origin;

	if (!BPF_CORE_READ(sk, sk_error_queue.qlen))
		return 0;
	said = (void *)packet + bpf_core_field_offset(packet->cb);
	origin = BPF_CORE_READ(said, ee.ee_origin);
	return origin == ORIGIN_ICMP || origin == ORIGIN_ICMP6 ? BPF_CORE_READ(said, ee.ee_errno) : 0;
}

/* What is said of an attempt while its owner holds the socket does not end it (5.8 and newer queue it for him), and
 * once he has asked for it the socket does not show it any more. */
static __always_inline int error_report(struct sock *sk, const bool direct)
{
	struct places *places;
	__u32 error;
	int way;

	if (!is_tcp(sk, direct) || GET(direct, sk, __sk_common.skc_state) != TCP_SYN_SENT)
		return 0;
	error = said_by_icmp(sk);
	places = error ? places_of(sk) : 0;
	way = places ? way_to(places, sk) : WAYS;
	if (way != WAYS)
		places->connections[way & (WAYS - 1)].error = error;
	return 0;
}

SEC("tp_btf/inet_sk_error_report")
int BPF_PROG(error_report_btf, struct sock *sk)
{
	return error_report(sk, true);
}

SEC("raw_tp/inet_sk_error_report")
int BPF_PROG(error_report_raw, struct sock *sk)
{
	return error_report(sk, false);
}

/* No error and no segment sent: no local port was free. No error otherwise: the owner closed the socket before an
 * answer came. The port itself does not tell, it is given back before the state changes. */
static __always_inline __u32 error_of(struct sock *sk, struct tapio_connection *at, __u64 waited, const bool direct)
{
	struct tcp_sock *tcp = tcp_of(sk, direct);
	int error = GET(direct, sk, sk_err);

	if (!error)
		error = GET(direct, sk, sk_err_soft); /* what ICMP said while the owner held the socket */
	if (!error)
		error = at->error;
	if (error)
		return error;
	if (tcp && !GET(direct, tcp, segs_out))
		return EADDRNOTAVAIL;
	return waited < LEAST_PATIENCE_NS ? ECONNABORTED : ECANCELED;
}

#endif
