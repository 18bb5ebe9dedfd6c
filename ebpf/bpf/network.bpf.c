/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* TCP connections by their state changes: who connected to whom, what came of it, who listens. */
#include "sock.bpf.h"

DESCRIBE(tapio_connect_failed);
DESCRIBE(tapio_listen);

enum { TCP_ESTABLISHED = 1, TCP_SYN_SENT = 2, TCP_SYN_RECV = 3, TCP_CLOSE = 7, TCP_LISTEN = 10 };
enum { EADDRNOTAVAIL = 99, ECANCELED = 125 };

#define SECOND_NS 1000000000ULL

/* A socket's owner is known in its connect(2) or through its listener; later states may run in softirq. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, struct tapio_connection);
} connections SEC(".maps");

/* Listening sockets, and who listens where: a new connection knows only its address. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct tapio_listening);
} listening SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tapio_listener_key);
	__type(value, struct tapio_task);
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tapio_edge_key);
	__type(value, struct tapio_edge);
} edges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tapio_failure_key);
	__type(value, __u64);
} failures SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} retransmits SEC(".maps");

static __always_inline struct tapio_edge *edge_of(struct sock *sk, struct tapio_connection *at, __u32 error,
						  const bool direct)
{
	struct tapio_edge_key key = {
		.cgroup_id = at->task.cgroup_id,
		.generation = current_generation(),
		.netns = at->netns,
		.role = at->role,
		.error = error,
		.port = at->port,
	};
	struct tapio_edge *edge;

	peer_of(sk, key.peer, direct);
	edge = bpf_map_lookup_elem(&edges, &key);
	if (edge)
		return edge;
	struct tapio_edge fresh = {.task = at->task};

	bpf_map_update_elem(&edges, &key, &fresh, BPF_NOEXIST);
	edge = bpf_map_lookup_elem(&edges, &key);
	if (!edge)
		count_loss(TAPIO_CONNECT_FAILED);
	return edge;
}

static __always_inline void count_attempt(struct tapio_edge *edge, __u64 now, __u64 waited)
{
	__u32 slot = slot_of(waited);

	__sync_fetch_and_add(&edge->count, 1);
	__sync_fetch_and_add(&edge->latency_sum_ns, waited);
	edge->last_ns = now;
	if (slot < TAPIO_SLOTS)
		__sync_fetch_and_add(&edge->latency_slots[slot], 1);
}

/* The first of a second per (cgroup, peer, port, error) is worth a record of its own. */
static __always_inline bool first_of_second(struct sock *sk, struct tapio_connection *at, __u32 error, __u64 now,
					    const bool direct)
{
	struct tapio_failure_key key = {.cgroup_id = at->task.cgroup_id, .port = at->port, .error = error};
	__u64 *last;

	peer_of(sk, key.peer, direct);
	last = bpf_map_lookup_elem(&failures, &key);
	if (last && now - *last < SECOND_NS)
		return false;
	bpf_map_update_elem(&failures, &key, &now, BPF_ANY);
	return true;
}

static __always_inline void report_failure(struct sock *sk, struct tapio_connection *at, __u32 error, __u64 now,
					   const bool direct)
{
	struct tapio_connect_failed *record = reserve(TAPIO_CONNECT_FAILED, sizeof(*record));

	if (!record)
		return;
	record->task = at->task;
	peer_of(sk, record->peer, direct);
	record->peer_port = at->port;
	record->local_port = local_port_of(sk, direct);
	record->error = error;
	record->netns = at->netns;
	record->waited_ns = now - at->since_ns;
	submit(record, true);
}

/* No error and no segment sent: no local port was free. No error otherwise: the owner closed the socket before an
 * answer came. The port itself does not tell, it is given back before the state changes. */
static __always_inline __u32 error_of(struct sock *sk, const bool direct)
{
	struct tcp_sock *tcp = direct ? bpf_skc_to_tcp_sock(sk) : (struct tcp_sock *)sk;
	int error = GET(direct, sk, sk_err);

	if (error)
		return error;
	return tcp && !GET(direct, tcp, segs_out) ? EADDRNOTAVAIL : ECANCELED;
}

static __always_inline void on_connect(struct sock *sk, const bool direct)
{
	struct tapio_connection at = {.role = TAPIO_CLIENT};
	__u64 key = (__u64)sk;

	fill_current(&at.task);
	at.since_ns = bpf_ktime_get_boot_ns();
	at.port = peer_port_of(sk, direct);
	at.netns = netns_of(sk, direct);
	bpf_map_update_elem(&connections, &key, &at, BPF_ANY);
}

static __always_inline void on_connected(struct sock *sk, struct tapio_connection *at, const bool direct)
{
	__u64 now = bpf_ktime_get_boot_ns();
	struct tapio_edge *edge = edge_of(sk, at, 0, direct);

	if (edge)
		count_attempt(edge, now, now - at->since_ns);
	at->since_ns = now;
	at->open = 1;
}

static __always_inline void on_failed(struct sock *sk, struct tapio_connection *at, const bool direct)
{
	__u64 now = bpf_ktime_get_boot_ns();
	__u32 error = error_of(sk, direct);
	struct tapio_edge *edge = edge_of(sk, at, error, direct);

	if (edge)
		count_attempt(edge, now, now - at->since_ns);
	if (first_of_second(sk, at, error, now, direct))
		report_failure(sk, at, error, now, direct);
}

static __always_inline bool is_any(const __u32 address[4])
{
	return !address[0] && !address[1] && !address[3] && (!address[2] || address[2] == bpf_htonl(0xffff));
}

static __always_inline struct tapio_task *listener_of(struct sock *sk, const bool direct)
{
	struct tapio_listener_key key = {.port = local_port_of(sk, direct), .netns = netns_of(sk, direct)};
	struct tapio_task *owner;

	local_of(sk, key.local, direct);
	owner = bpf_map_lookup_elem(&listeners, &key);
	if (owner)
		return owner;
	__builtin_memset(key.local, 0, sizeof(key.local));
	return bpf_map_lookup_elem(&listeners, &key);
}

static __always_inline void on_accepted(struct sock *sk, const bool direct)
{
	struct tapio_connection at = {.role = TAPIO_SERVER, .open = 1};
	struct tapio_task *owner = listener_of(sk, direct);
	__u64 key = (__u64)sk;
	struct tapio_edge *edge;

	if (owner)
		at.task = *owner;
	at.since_ns = bpf_ktime_get_boot_ns();
	at.port = local_port_of(sk, direct);
	at.netns = netns_of(sk, direct);
	bpf_map_update_elem(&connections, &key, &at, BPF_ANY);
	edge = edge_of(sk, &at, 0, direct);
	if (edge) {
		__sync_fetch_and_add(&edge->count, 1);
		edge->last_ns = at.since_ns;
	}
}

static __always_inline void on_closed(struct sock *sk, struct tapio_connection *at, const bool direct)
{
	struct tapio_edge *edge = edge_of(sk, at, 0, direct);
	struct tcp_sock *tcp = direct ? bpf_skc_to_tcp_sock(sk) : (struct tcp_sock *)sk;
	__u64 now = bpf_ktime_get_boot_ns();

	if (!edge || !tcp)
		return;
	__sync_fetch_and_add(&edge->closed, 1);
	__sync_fetch_and_add(&edge->bytes_sent, GET(direct, tcp, bytes_sent) - GET(direct, tcp, bytes_retrans));
	__sync_fetch_and_add(&edge->bytes_received, GET(direct, tcp, bytes_received));
	__sync_fetch_and_add(&edge->retransmits, GET(direct, tcp, total_retrans));
	__sync_fetch_and_add(&edge->srtt_sum_us, GET(direct, tcp, srtt_us) >> 3);
	__sync_fetch_and_add(&edge->duration_sum_ns, now - at->since_ns);
	edge->last_ns = now;
}

static __always_inline void report_listen(struct tapio_listening *at, __u32 begins)
{
	struct tapio_listen *record = reserve(TAPIO_LISTEN, sizeof(*record));

	if (!record)
		return;
	record->task = at->owner;
	__builtin_memcpy(record->local, at->at.local, sizeof(record->local));
	record->local_port = at->at.port;
	record->netns = at->at.netns;
	record->begins = begins;
	submit(record, true);
}

static __always_inline void on_listen(struct sock *sk, const bool direct)
{
	struct tapio_listening at = {};
	__u64 key = (__u64)sk;

	fill_current(&at.owner);
	at.at.port = local_port_of(sk, direct);
	at.at.netns = netns_of(sk, direct);
	local_of(sk, at.at.local, direct);
	if (is_any(at.at.local)) /* 0.0.0.0 is :: */
		at.at.local[2] = 0;
	bpf_map_update_elem(&listening, &key, &at, BPF_ANY);
	bpf_map_update_elem(&listeners, &at.at, &at.owner, BPF_ANY);
	report_listen(&at, 1);
}

/* The port is already given back here, so what was said at the beginning is repeated. */
static __always_inline void on_listen_end(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct tapio_listening *at = bpf_map_lookup_elem(&listening, &key);

	if (!at)
		return;
	report_listen(at, 0);
	bpf_map_delete_elem(&listeners, &at->at);
	bpf_map_delete_elem(&listening, &key);
}

static __always_inline void on_left(struct sock *sk, int from, int to, const bool direct)
{
	__u64 key = (__u64)sk;
	struct tapio_connection *at = bpf_map_lookup_elem(&connections, &key);

	if (!at)
		return;
	if (from == TCP_SYN_SENT && to == TCP_ESTABLISHED)
		return on_connected(sk, at, direct);
	if (to != TCP_CLOSE)
		return;
	if (at->open)
		on_closed(sk, at, direct);
	else
		on_failed(sk, at, direct);
	bpf_map_delete_elem(&connections, &key);
}

static __always_inline int state(struct sock *sk, int from, int to, const bool direct)
{
	if (!is_tcp(sk, direct))
		return 0;
	if (to == TCP_SYN_SENT)
		on_connect(sk, direct);
	else if (to == TCP_LISTEN)
		on_listen(sk, direct);
	else if (from == TCP_LISTEN && to == TCP_CLOSE)
		on_listen_end(sk);
	else if (from == TCP_SYN_RECV && to == TCP_ESTABLISHED)
		on_accepted(sk, direct);
	else
		on_left(sk, from, to, direct);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_btf, struct sock *sk, int from, int to)
{
	return state(sk, from, to, true);
}

SEC("raw_tp/inet_sock_set_state")
int BPF_PROG(state_raw, struct sock *sk, int from, int to)
{
	return state(sk, from, to, false);
}

static __always_inline int retransmit(void)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&retransmits, &zero);

	if (count)
		*count += 1;
	return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmit_btf)
{
	return retransmit();
}

SEC("raw_tp/tcp_retransmit_skb")
int BPF_PROG(retransmit_raw)
{
	return retransmit();
}
