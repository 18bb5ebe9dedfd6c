/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* TCP connections by their state changes: who connected to whom, what came of it, who listens. */
#include "connect_error.bpf.h"
#include "listeners.bpf.h"

DESCRIBE(tapio_connect_failed);

/* Whose counters an accepted socket's are. It inherits them from the one that listens, without a look-up or a copy of
 * ours. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct tapio_sum_key);
} inherited SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TAPIO_ROWS);
	__type(key, __u32);
	__type(value, struct tapio_edge_row);
} edges SEC(".maps");

/* When a failure was last reported, per key without its second. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tapio_sum_key);
	__type(value, __u64);
} failures SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} retransmits SEC(".maps");

/* Segments that a socket had sent when it last had to send one again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, __u32);
} sent_before SEC(".maps");

static __always_inline struct tapio_edge *edge_of(struct tapio_sum_key *key, const bool recent)
{
	struct tapio_edge *edge = sums_of(&edges, key, recent);

	if (!edge)
		count_full(TAPIO_CONNECT_FAILED);
	return edge;
}

static __always_inline void count_attempt(struct tapio_sum_key *key, __u64 waited, const bool recent)
{
	struct tapio_edge *edge = edge_of(key, recent);

	if (!edge)
		return;
	__sync_fetch_and_add(&edge->count, 1);
	if (waited) /* adding a constant 0 becomes an atomic or, which 5.10 does not know */
		__sync_fetch_and_add(&edge->latency_sum_ns, waited);
}

/* The first of a second per (cgroup, peer, port, error) is worth a record of its own. */
static __always_inline bool first_of_second(struct tapio_sum_key *key, __u64 now)
{
	__u64 *last;

	key->second = 0;
	last = bpf_map_lookup_elem(&failures, key);
	if (last && now - *last < SECOND_NS)
		return false;
	bpf_map_update_elem(&failures, key, &now, BPF_ANY);
	return true;
}

static __always_inline void report_failure(struct sock *sk, struct tapio_connection *at, __u64 waited,
					   const bool direct)
{
	struct tapio_connect_failed *record = reserve(TAPIO_CONNECT_FAILED, sizeof(*record));

	if (!record)
		return;
	record->task = at->task;
	__builtin_memcpy(record->peer, at->key.peer, sizeof(record->peer));
	record->peer_port = at->key.port;
	record->local_port = local_port_of(sk, direct);
	record->error = at->key.outcome;
	record->netns = at->key.netns;
	record->waited_ns = waited;
	submit(record, true);
}

static __always_inline void describe(struct tapio_sum_key *key, struct sock *sk, const __u32 role, const bool direct)
{
	key->role = role;
	key->port = role == TAPIO_CLIENT ? peer_port_of(sk, direct) : local_port_of(sk, direct);
	key->netns = netns_of(sk, direct);
	peer_of(sk, key->peer, direct);
}

static __always_inline void on_connect(struct sock *sk, const bool direct, const bool recent)
{
	struct tapio_connection *at = new_connection(sk, recent);

	if (!at)
		return;
	fill_current(&at->task);
	at->key.cgroup_id = at->task.cgroup_id;
	__builtin_memcpy(at->key.comm, at->task.comm, TAPIO_COMM);
	describe(&at->key, sk, TAPIO_CLIENT, direct);
}

static __always_inline void on_listening(struct sock *sk, const bool direct, const bool recent)
{
	struct tapio_sum_key *key;

	on_listen(sk, direct);
	if (!recent)
		return;
	key = bpf_sk_storage_get(&inherited, sk, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!key)
		return;
	key->cgroup_id = current_cgroup();
	fill_current_name(key->comm);
}

/* Nothing was inherited: its listener is older than the programs and user space has told of it, or the kernel passes
 * nothing on. */
static __always_inline void on_accepted_without(struct sock *sk, const bool direct, const bool recent)
{
	struct tapio_connection *at = new_connection(sk, recent);
	struct tapio_task *owner = listener_of(sk, direct);

	if (!at)
		return;
	at->open = 1;
	at->key.cgroup_id = owner ? owner->cgroup_id : 0;
	__builtin_memset(at->key.comm, 0, TAPIO_COMM); /* of an earlier connection */
	if (owner)
		__builtin_memcpy(at->key.comm, owner->comm, TAPIO_COMM);
	describe(&at->key, sk, TAPIO_SERVER, direct);
	count_attempt(&at->key, 0, recent);
}

static __always_inline void on_accepted(struct sock *sk, const bool direct, const bool recent)
{
	struct tapio_sum_key *key = recent ? bpf_sk_storage_get(&inherited, sk, 0, 0) : 0;

	if (!key)
		return on_accepted_without(sk, direct, recent);
	describe(key, sk, TAPIO_SERVER, direct);
	count_attempt(key, 0, recent);
}

static __always_inline void on_connected(struct sock *sk, struct tapio_connection *at, const bool direct,
					 const bool recent)
{
	struct tcp_sock *tcp = tcp_of(sk, direct);

	if (tcp)
		count_attempt(&at->key, since(at->since_ns, last_moved(tcp, direct)), recent);
	at->open = 1;
}

static __always_inline void on_failed(struct sock *sk, struct tapio_connection *at, const bool direct,
				      const bool recent)
{
	__u64 now = bpf_ktime_get_ns();
	__u64 waited = now - at->since_ns;

	at->key.outcome = error_of(sk, at, waited, direct);
	count_attempt(&at->key, waited, recent);
	if (first_of_second(&at->key, now))
		report_failure(sk, at, waited, direct);
}

/* Segments sent since this was last asked. Another socket may have had this address. */
static __always_inline __u32 newly_sent(struct sock *sk, struct tcp_sock *tcp, const bool closes, const bool direct)
{
	__u32 sent = GET(direct, tcp, data_segs_out), before = 0;
	__u64 socket = (__u64)sk;
	__u32 *known = bpf_map_lookup_elem(&sent_before, &socket);

	if (known && *known <= sent)
		before = *known;
	if (!closes)
		bpf_map_update_elem(&sent_before, &socket, &sent, BPF_ANY);
	else if (known)
		bpf_map_delete_elem(&sent_before, &socket);
	return sent - before;
}

/* Counts a connection that its owner had not closed and that ended at once. Who loses one that he has closed does not
 * notice. */
static __always_inline void count_broken(struct tapio_edge *edge, struct sock *sk, int from, const bool direct)
{
	int error;

	if (from != TCP_ESTABLISHED && from != TCP_CLOSE_WAIT)
		return;
	error = GET(direct, sk, sk_err);
	if (error == ECONNRESET || error == EPIPE)
		__sync_fetch_and_add(&edge->reset, 1);
	else if (error && error != ECONNABORTED)
		__sync_fetch_and_add(&edge->unacknowledged, 1);
	else
		__sync_fetch_and_add(&edge->aborted, 1);
}

static __always_inline void on_closed(struct sock *sk, struct tapio_sum_key *key, int from, const bool direct,
				      const bool recent)
{
	struct tcp_sock *tcp = tcp_of(sk, direct);
	struct tapio_edge *edge = edge_of(key, recent);

	if (!edge || !tcp)
		return;
	__sync_fetch_and_add(&edge->closed, 1);
	count_broken(edge, sk, from, direct);
	__sync_fetch_and_add(&edge->bytes_sent, GET(direct, tcp, bytes_sent) - GET(direct, tcp, bytes_retrans));
	__sync_fetch_and_add(&edge->bytes_received, GET(direct, tcp, bytes_received));
	__sync_fetch_and_add(&edge->segments, newly_sent(sk, tcp, true, direct));
}

static __always_inline void on_left(struct sock *sk, int from, int to, const bool direct, const bool recent)
{
	struct places *places = places_of(sk);
	int way = places ? way_to(places, sk) : WAYS;
	struct tapio_connection *at;

	if (way == WAYS)
		return;
	at = &places->connections[way];
	if (to == TCP_ESTABLISHED)
		return on_connected(sk, at, direct, recent);
	if (at->open)
		on_closed(sk, &at->key, from, direct, recent);
	else
		on_failed(sk, at, direct, recent);
	hand_over(&places->owners[way], TAPIO_FREE, recent);
}

/* One that was never accepted has no role. */
static __always_inline bool is_inherited(struct tapio_sum_key *key)
{
	return key && key->role == TAPIO_SERVER;
}

static __always_inline void on_end(struct sock *sk, int from, const bool direct, const bool recent)
{
	struct tapio_sum_key *key = recent ? bpf_sk_storage_get(&inherited, sk, 0, 0) : 0;

	if (!is_inherited(key))
		return on_left(sk, from, TCP_CLOSE, direct, recent);
	on_closed(sk, key, from, direct, recent);
	key->role = 0;
}

/* Most changes are steps of closing, which tell nothing that its end does not. */
static __always_inline bool matters(int to)
{
	return to == TCP_ESTABLISHED || to == TCP_SYN_SENT || to == TCP_CLOSE || to == TCP_LISTEN;
}

static __always_inline int state(struct sock *sk, int from, int to, const bool direct, const bool recent)
{
	if (!matters(to) || !is_tcp(sk, direct))
		return 0;
	if (to == TCP_SYN_SENT)
		on_connect(sk, direct, recent);
	else if (to == TCP_LISTEN)
		on_listening(sk, direct, recent);
	else if (from == TCP_LISTEN && to == TCP_CLOSE)
		on_listen_end(sk);
	else if (from == TCP_SYN_RECV && to == TCP_ESTABLISHED)
		on_accepted(sk, direct, recent);
	else if (to == TCP_ESTABLISHED)
		on_left(sk, from, to, direct, recent);
	else
		on_end(sk, from, direct, recent);
	return 0;
}

/* On kernels from 5.12 on, which exchange atomically and let tracing programs use a socket's storage. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_recent, struct sock *sk, int from, int to)
{
	return state(sk, from, to, true, true);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_btf, struct sock *sk, int from, int to)
{
	return state(sk, from, to, true, false);
}

SEC("raw_tp/inet_sock_set_state")
int BPF_PROG(state_raw, struct sock *sk, int from, int to)
{
	return state(sk, from, to, false, false);
}

static __always_inline struct tapio_sum_key *key_of(struct sock *sk, const bool recent)
{
	struct tapio_sum_key *key = recent ? bpf_sk_storage_get(&inherited, sk, 0, 0) : 0;
	struct places *places;
	int way;

	if (is_inherited(key))
		return key;
	places = places_of(sk);
	way = places ? way_to(places, sk) : WAYS;
	return way == WAYS ? 0 : &places->connections[way & (WAYS - 1)].key;
}

/* How much was sent is the measure of what was lost. */
static __always_inline void count_lost(struct sock *sk, const bool direct, const bool recent)
{
	struct tapio_sum_key *key = key_of(sk, recent);
	struct tcp_sock *tcp = tcp_of(sk, direct);
	struct tapio_edge *edge = key && tcp ? edge_of(key, recent) : 0;

	if (!edge)
		return;
	__sync_fetch_and_add(&edge->segments, newly_sent(sk, tcp, false, direct));
	__sync_fetch_and_add(&edge->retransmits, 1);
}

/* A SYN that is sent again tells of a peer that does not answer, which its connection says; only what was acknowledged
 * before and is lost now tells of the way. */
static __always_inline int retransmit(struct sock *sk, const bool direct, const bool recent)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&retransmits, &zero);

	if (!count || GET(direct, sk, __sk_common.skc_state) == TCP_SYN_SENT)
		return 0;
	*count += 1;
	count_lost(sk, direct, recent);
	return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmit_recent, struct sock *sk)
{
	return retransmit(sk, true, true);
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmit_btf, struct sock *sk)
{
	return retransmit(sk, true, false);
}

SEC("raw_tp/tcp_retransmit_skb")
int BPF_PROG(retransmit_raw, struct sock *sk)
{
	return retransmit(sk, false, false);
}
