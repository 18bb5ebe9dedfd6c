/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Packets that are dropped on their way, with the kernel's own reason (5.17 and newer). Most of what is freed here was
 * no loss: a program that returns at once is most of what this costs. */
#include "sock.bpf.h"
#include "link.h"

DESCRIBE(tapio_drop_key);
DESCRIBE(tapio_drops);

#define IPPROTO_UDP 17
#define FRAGMENT_OFFSET 0x1fff
#define SYN 0x02
#define ACK 0x10
#define MULTICAST 0xe0 /* first byte of IPv4, and all above */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tapio_drop_key);
	__type(value, struct tapio_drops);
} drops SEC(".maps");

/* Packets that there was no room to count. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} uncounted SEC(".maps");

#define IS(reason, name)                                                                                               \
	(bpf_core_enum_value_exists(enum skb_drop_reason, SKB_DROP_REASON_##name) &&                                   \
	 (reason) == (int)bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_##name))

static __always_inline __u32 reason_of(int reason)
{
	if (IS(reason, NETFILTER_DROP) || IS(reason, TC_INGRESS) || IS(reason, TC_EGRESS) || IS(reason, XDP) ||
	    IS(reason, BPF_CGROUP_EGRESS))
		return TAPIO_DROP_FILTER;
	if (IS(reason, NEIGH_FAILED) || IS(reason, NEIGH_QUEUEFULL) || IS(reason, NEIGH_CREATEFAIL))
		return TAPIO_DROP_NEIGHBOUR;
	if (IS(reason, PKT_TOO_BIG))
		return TAPIO_DROP_TOO_BIG;
	if (IS(reason, QDISC_DROP) || IS(reason, CPU_BACKLOG) || IS(reason, FULL_RING))
		return TAPIO_DROP_QUEUE;
	return IS(reason, IP_OUTNOROUTES) || IS(reason, IP_INNOROUTES) ? TAPIO_DROP_ROUTE : 0;
}

/* The device's namespace; a packet on its way out may have none yet, but a socket. */
static __always_inline __u32 namespace_of(struct sk_buff *packet)
{
	struct net_device *device = packet->dev;
	struct sock *sk = packet->sk;

	if (device)
		return BPF_CORE_READ(device, nd_net.net, ns.inum);
	return sk ? netns_of(sk, false) : 0;
}

struct ends {
	__u32 source[4];
	__u32 target[4];
	__u32 transport_at; /* where the header of the transport begins; 0: not in this packet */
	__u8 protocol;
};

static __always_inline bool read_v4(const __u8 *at, struct ends *ends)
{
	struct ipv4_header header;

	if (bpf_probe_read_kernel(&header, sizeof(header), at) || (header.target & 0xff) >= MULTICAST)
		return false;
	map_v4(ends->source, header.source);
	map_v4(ends->target, header.target);
	ends->protocol = header.protocol;
	if (!(bpf_ntohs(header.fragment) & FRAGMENT_OFFSET))
		ends->transport_at = (header.version_length & 0xf) * 4;
	return true;
}

static __always_inline bool read_v6(const __u8 *at, struct ends *ends)
{
	struct ipv6_header header;

	if (bpf_probe_read_kernel(&header, sizeof(header), at) ||
	    (header.target[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000))
		return false;
	__builtin_memcpy(ends->source, header.source, sizeof(ends->source));
	__builtin_memcpy(ends->target, header.target, sizeof(ends->target));
	ends->protocol = header.next;
	ends->transport_at = sizeof(header);
	return true;
}

static __always_inline bool read_ends(struct sk_buff *packet, struct ends *ends, const __u8 **network)
{
	__u8 version;

	*network = packet->head + packet->network_header;
	if (bpf_probe_read_kernel(&version, sizeof(version), *network))
		return false;
	if (version >> 4 == 4)
		return read_v4(*network, ends);
	return version >> 4 == 6 && read_v6(*network, ends);
}

/* Who begins a TCP connection says so. Otherwise whoever has the lower port is called: clients' are from the ephemeral
 * range. */
static __always_inline bool is_from_callee(const struct tcp_header *header, __u8 protocol)
{
	if (protocol == IPPROTO_TCP && header->flags & SYN)
		return header->flags & ACK;
	return bpf_ntohs(header->ports[0]) < bpf_ntohs(header->ports[1]);
}

static __always_inline void take_sides(struct tapio_drop_key *key, const struct ends *ends, const __u8 *network)
{
	const __u8 *transport = network + ends->transport_at;
	struct tcp_header header = {};

	if (ends->transport_at && ends->protocol == IPPROTO_TCP)
		bpf_probe_read_kernel(&header, sizeof(header), transport);
	else if (ends->transport_at && ends->protocol == IPPROTO_UDP)
		bpf_probe_read_kernel(header.ports, sizeof(header.ports), transport);
	if (is_from_callee(&header, ends->protocol)) {
		key->is_answer = 1;
		key->port = bpf_ntohs(header.ports[0]);
		__builtin_memcpy(key->caller, ends->target, sizeof(key->caller));
		__builtin_memcpy(key->callee, ends->source, sizeof(key->callee));
	} else {
		key->port = bpf_ntohs(header.ports[1]);
		__builtin_memcpy(key->caller, ends->source, sizeof(key->caller));
		__builtin_memcpy(key->callee, ends->target, sizeof(key->callee));
	}
}

static __always_inline void count_none(void)
{
	__u32 zero = 0;
	__u64 *packets = bpf_map_lookup_elem(&uncounted, &zero);

	if (packets)
		*packets += 1;
}

static __always_inline void count(const struct tapio_drop_key *key)
{
	struct tapio_drops *sums = bpf_map_lookup_elem(&drops, key), none = {};

	if (!sums) {
		bpf_map_update_elem(&drops, key, &none, BPF_NOEXIST);
		sums = bpf_map_lookup_elem(&drops, key);
	}
	if (!sums)
		return count_none();
	__sync_fetch_and_add(&sums->count, 1);
	sums->last_ns = bpf_ktime_get_boot_ns();
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(dropped_btf, struct sk_buff *packet, void *location, int reason)
{
	struct tapio_drop_key key = {.reason = reason_of(reason)};
	struct ends ends = {};
	const __u8 *network;

	if (!key.reason || !read_ends(packet, &ends, &network))
		return 0;
	key.protocol = ends.protocol;
	key.netns = namespace_of(packet);
	take_sides(&key, &ends, network);
	count(&key);
	return 0;
}
