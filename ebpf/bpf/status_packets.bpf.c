/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP from packets, where no program may read a process's memory: a packet's bytes can be had without probing, and who
 * owns its socket is learnt where that sends. Runs for every packet, so it is the last way; each is let through. */
#include "requests_unread.bpf.h"

#define PASS 1

/* Who first sent on a socket, and on which connection of the socket's address. */
struct sender {
	struct tapio_task task;
	__u32 hash;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct sender);
} senders SEC(".maps");

/* Threads on their way out, by their ids, which are used again: with the address of the task that it was. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} exiting SEC(".maps");

/* What is looked at has only just arrived or is about to leave. */
static __always_inline __u64 moved_at(struct tcp_sock *tcp, const bool direct)
{
	return bpf_ktime_get_ns();
}

static __always_inline bool is_recent(void)
{
	return false;
}

static __always_inline struct sender *sender_of(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct sender *sender = bpf_map_lookup_elem(&senders, &key);

	return sender && sender->hash == sk->__sk_common.skc_hash ? sender : 0;
}

static __always_inline void belong_to(struct tapio_sum_key *key, struct sender *sender)
{
	key->cgroup_id = sender->task.cgroup_id;
	__builtin_memcpy(key->comm, sender->task.comm, TAPIO_COMM);
}

static __always_inline void identify(struct tapio_sum_key *key, struct sock *sk)
{
	struct sender *sender = sender_of(sk);

	if (sender)
		belong_to(key, sender);
}

static __always_inline void fill_owner(struct tapio_task *out, struct sock *sk, const struct tapio_sum_key *key,
				       const bool is_current)
{
	struct sender *sender = sender_of(sk);

	if (sender)
		*out = sender->task;
}

static __always_inline bool says_it_checks(const struct payload *request)
{
	return is_health_check(request);
}

static __always_inline bool is_exiting(void)
{
	__u32 thread = (__u32)bpf_get_current_pid_tgid();
	__u64 *task = bpf_map_lookup_elem(&exiting, &thread);

	return task && *task == bpf_get_current_task();
}

static __always_inline void *load(struct __sk_buff *packet, __u32 from, void *to, const __u32 size)
{
	return bpf_skb_load_bytes(packet, from, to, size) ? 0 : to;
}

/* Where the TCP header begins; 0: there is none, or behind options of IPv6. */
static __always_inline __u32 segment_in(struct __sk_buff *packet)
{
	__u8 start[8];

	if (!load(packet, 0, start, sizeof(start)))
		return 0;
	if (start[0] >> 4 == 4)
		return (start[0] & 0xf) * 4;
	return start[6] == IPPROTO_TCP ? 40 : 0;
}

/* What is sent again has been seen before. */
static __always_inline bool is_repeated(struct tcp_sock *tcp, __u32 sequence, __u32 direction)
{
	__u32 next = direction == TAPIO_SENT ? tcp->snd_nxt : tcp->rcv_nxt;

	return (__s32)(sequence - next) < 0;
}

/* Older verifiers forget a size's bounds when it passes through the stack, and take no size that may be 0: it gets them
 * again right here. */
static __always_inline bool read_part(const struct payload *payload, __u64 from, __u8 *to, __u64 size)
{
	asm volatile("" : "+r"(size));
	size = ((size - 1) & (PART_BYTES - 1)) + 1;
	return !bpf_skb_load_bytes(payload->in, payload->at + from, to, size);
}

/* Reads the first bytes of a payload that has not been seen before. */
static __always_inline enum tapio_payload payload_of(struct __sk_buff *packet, struct tcp_sock *tcp, __u32 direction,
						     struct payload *payload, __u8 line[LINE])
{
	__u32 at = segment_in(packet);
	struct tcp_header header;

	if (!at || !load(packet, at, &header, sizeof(header)))
		return OTHER;
	at += (header.offset >> 4) * 4;
	if (at + SHORTEST > packet->len || is_repeated(tcp, bpf_ntohl(header.sequence), direction))
		return OTHER;
	payload->at = at;
	payload->length = packet->len - at;
	if (!load(packet, at, line, SHORTEST))
		return OTHER;
	if (payload->length >= LINE && !load(packet, at + SHORTEST, line + SHORTEST, LINE - SHORTEST))
		return OTHER;
	return kind_of(line, payload->length);
}

/* A server's socket has an owner once it answers. What has none is sent by this process, or by nobody. */
static __always_inline void see(struct sock *sk, enum tapio_payload kind, const struct payload *payload,
				const __u8 line[LINE], __u32 direction)
{
	struct sender *sender = sender_of(sk);
	struct tapio_conversation *at;

	if (!sender && direction == TAPIO_SENT)
		return;
	at = conversation_at(sk, kind == REQUEST, true);
	if (!at)
		return;
	if (sender)
		belong_to(&at->key, sender);
	if (kind == REQUEST)
		begin(at, sk, payload, direction, true);
	else
		finish(at, sk, line, payload, direction, true);
}

static __always_inline int transfer(struct __sk_buff *packet, __u32 direction)
{
	struct tcp_sock *tcp = packet->sk ? bpf_skc_to_tcp_sock(packet->sk) : 0;
	struct payload payload = {.in = packet};
	struct sock *sk = (struct sock *)tcp;
	enum tapio_payload kind;
	__u8 line[LINE];

	if (!tcp || sk->__sk_common.skc_state == TCP_LISTEN)
		return PASS;
	kind = payload_of(packet, tcp, direction, &payload, line);
	if (kind != OTHER)
		see(sk, kind, &payload, line, direction);
	return PASS;
}

SEC("cgroup_skb/egress")
int sent_packet(struct __sk_buff *packet)
{
	return transfer(packet, TAPIO_SENT);
}

SEC("cgroup_skb/ingress")
int received_packet(struct __sk_buff *packet)
{
	return transfer(packet, TAPIO_RECEIVED);
}

SEC("fentry/tcp_sendmsg")
int BPF_PROG(sends, struct sock *sk)
{
	struct sender sender = {.hash = sk->__sk_common.skc_hash};
	__u64 key = (__u64)sk;

	if (is_own() || sender_of(sk))
		return 0;
	fill_current(&sender.task);
	bpf_map_update_elem(&senders, &key, &sender, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exits, struct task_struct *task)
{
	__u32 thread = (__u32)bpf_get_current_pid_tgid();
	__u64 address = bpf_get_current_task();

	bpf_map_update_elem(&exiting, &thread, &address, BPF_ANY);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(changed_btf, struct sock *sk, int from, int to)
{
	return change(sk, from, to, true);
}
