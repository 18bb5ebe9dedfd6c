/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Questions to name servers and their answers, as they leave and reach the sockets of processes, over UDP and over TCP
 * (RFC 7766). A question is known by its socket and id. Runs for every packet, of which most are let go at once: those
 * of TCP by their socket alone. */
#include "sock.bpf.h"
#include "dns.h"

#define PASS 1
#define DNS_PORT 53
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define DNS_HEADER 12
#define IS_ANSWER 0x80 /* QR, the first bit behind the id */
#define V6_HEADER 40
#define V4_SOURCE 12 /* the address of the destination follows */
#define V6_SOURCE 8
/* Over TCP a message has its length before it, and a resolver's two questions for a name go together, often with their
 * answers. Of more in one segment the rest is not read. */
#define MOST_MESSAGES 4

DESCRIBE(tapio_question);
DESCRIBE(tapio_question_key);
DESCRIBE(tapio_asker);
DESCRIBE(tapio_dns_answer);

/* User space looks for those that nobody answered, and takes them out. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct tapio_question_key);
	__type(value, struct tapio_question);
} questions SEC(".maps");

/* By cookies, which no other socket ever has. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct tapio_asker);
} askers SEC(".maps");

/* Where a question is put together: it is too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tapio_question);
} drafts SEC(".maps");

/* Where a packet from or to a name server has a message. */
struct place {
	struct __sk_buff *packet;
	__u32 at;     /* where it begins */
	__u32 length; /* of the message, which may go on in the next packet */
	__u32 server[4];
	bool is_stream;
};

static __always_inline bool load(struct __sk_buff *packet, __u32 from, void *to, const __u32 size)
{
	return !bpf_skb_load_bytes(packet, from, to, size);
}

/* Where the header of UDP or TCP begins; 0: there is none, or behind options of IPv6. */
static __always_inline __u32 header_in(struct __sk_buff *packet, __u32 protocol, bool *is_v4)
{
	__u8 start[8];

	if (!load(packet, 0, start, sizeof(start)))
		return 0;
	*is_v4 = start[0] >> 4 == 4;
	if (*is_v4)
		return (start[0] & 0xf) * 4;
	return start[6] == protocol ? V6_HEADER : 0;
}

/* Docker answers its containers' questions at 127.0.0.11, and a rule of the firewall in each container leads them to
 * another port of it before a packet is seen here. Its answers have the usual one. */
static __always_inline bool is_to_docker(const struct place *place, bool is_v4)
{
	return is_v4 && place->server[3] == bpf_htonl(0x7f00000b);
}

/* The other end's address: a socket may ask several. */
static __always_inline bool read_server(struct place *out, bool is_v4, bool sent)
{
	if (!is_v4)
		return load(out->packet, V6_SOURCE + (sent ? 16 : 0), out->server, 16);
	map_v4(out->server, 0);
	return load(out->packet, V4_SOURCE + (sent ? 4 : 0), &out->server[3], 4);
}

static __always_inline bool is_message(const struct place *place)
{
	return place->length >= DNS_HEADER && place->length < 1 << 16;
}

static __always_inline bool in_datagram(struct place *out, __u32 at, bool is_v4, const bool sent)
{
	struct udp_header header;

	if (!load(out->packet, at, &header, sizeof(header)))
		return false;
	if ((sent ? header.dest : header.source) != bpf_htons(DNS_PORT) && !(sent && is_to_docker(out, is_v4)))
		return false;
	out->at = at + sizeof(header);
	out->length = bpf_ntohs(header.length) - sizeof(header);
	return is_message(out);
}

/* Takes the length that stands at `at`, with the message behind it. */
static __always_inline bool in_stream(struct place *out, __u32 at)
{
	__be16 length;

	if (!load(out->packet, at, &length, sizeof(length)))
		return false;
	out->is_stream = true;
	out->at = at + sizeof(length);
	out->length = bpf_ntohs(length);
	return is_message(out);
}

static __always_inline bool in_segment(struct place *out, __u32 at)
{
	struct tcp_header header;

	return load(out->packet, at, &header, sizeof(header)) && in_stream(out, at + header.offset / 16 * 4);
}

/* The first message of a packet. */
static __always_inline bool find(struct __sk_buff *packet, struct place *out, const bool sent)
{
	struct bpf_sock *sk = packet->sk ? bpf_sk_fullsock(packet->sk) : 0;
	bool is_v4 = false, is_tcp;
	__u32 at;

	if (!sk)
		return false;
	is_tcp = sk->protocol == IPPROTO_TCP && sk->dst_port == bpf_htons(DNS_PORT);
	if (!is_tcp && sk->protocol != IPPROTO_UDP)
		return false;
	at = header_in(packet, sk->protocol, &is_v4);
	out->packet = packet;
	if (!at || !read_server(out, is_v4, sent))
		return false;
	return is_tcp ? in_segment(out, at) : in_datagram(out, at, is_v4, sent);
}

static __always_inline bool next(struct place *place)
{
	return place->is_stream && in_stream(place, place->at + place->length);
}

/* Older verifiers forget a size's bounds when it passes through the stack, and take no size that may be 0: it gets them
 * again right here. */
static __always_inline bool read_message(const struct place *place, __u8 out[TAPIO_DNS_BYTES])
{
	__u64 size = place->length;

	if (size > TAPIO_DNS_BYTES)
		size = TAPIO_DNS_BYTES;
	asm volatile("" : "+r"(size));
	if (size < DNS_HEADER || size > TAPIO_DNS_BYTES)
		return false;
	return !bpf_skb_load_bytes(place->packet, place->at, out, size);
}

static __always_inline __u64 hash_of_message(const __u8 message[TAPIO_DNS_BYTES])
{
	const __u64 *words = (const __u64 *)message;
	__u64 hash = 0;
	int i;

#pragma unroll
	for (i = 0; i < TAPIO_DNS_BYTES / sizeof(*words); i++)
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ULL; /* 2^64 / golden ratio, as the kernel's hash_64 */
	return hash;
}

static __always_inline struct tapio_question_key key_of(const struct place *place, const __u8 *message)
{
	struct tapio_question_key key = {.socket = bpf_get_socket_cookie(place->packet),
					 .id = message[0] << 8 | message[1]};

	return key;
}

/* How it is found out who asks, who is running: by the task, where the kernel gives it to packets' programs, or by its
 * address, where memory may be probed. Else the socket's control group is known. */
enum { BY_BTF, BY_PROBE, BY_GROUP };

static __always_inline void fill_asker(struct tapio_question *out, const struct place *place, const int how)
{
	struct task_struct *task;

	if (how == BY_GROUP) {
		out->task.cgroup_id = bpf_skb_cgroup_id(place->packet);
		return;
	}
	task = how == BY_BTF ? bpf_get_current_task_btf() : (struct task_struct *)bpf_get_current_task();
	fill_task(&out->task, task, how == BY_BTF);
	out->netns = how == BY_BTF ? task->nsproxy->net_ns->ns.inum : BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
}

/* The same message on the same socket is sent again for want of an answer: by who asked, or by TCP's timer, whoever
 * runs then. */
static __always_inline void ask(const struct place *place, const int how)
{
	struct tapio_question *draft, *known;
	struct tapio_question_key key;
	struct tapio_asker open = {};
	__u32 zero = 0;

	draft = bpf_map_lookup_elem(&drafts, &zero);
	if (!draft)
		return;
	__builtin_memset(draft, 0, sizeof(*draft));
	if (!read_message(place, draft->message) || draft->message[2] & IS_ANSWER)
		return;
	key = key_of(place, draft->message);
	draft->hash = hash_of_message(draft->message);
	draft->asked_ns = draft->again_ns = bpf_ktime_get_boot_ns();
	draft->attempts = 1;
	__builtin_memcpy(draft->server, place->server, sizeof(draft->server));
	draft->length = place->length;
	fill_asker(draft, place, how);
	known = bpf_map_lookup_elem(&questions, &key);
	if (known && known->hash == draft->hash) {
		draft->task = known->task;
		draft->netns = known->netns;
		draft->asked_ns = known->asked_ns;
		draft->attempts = known->attempts + 1;
	}
	if (draft->task.tgid && draft->task.tgid == own_tgid)
		return;
	if (bpf_map_update_elem(&questions, &key, draft, BPF_ANY))
		return count_full(TAPIO_DNS_ANSWER);
	bpf_map_update_elem(&askers, &key.socket, &open, BPF_NOEXIST);
}

static __always_inline bool is_asked(const struct tapio_question *question, const __u32 server[4])
{
	int i;

#pragma unroll
	for (i = 0; i < 4; i++)
		if (question->server[i] != server[i])
			return false;
	return true;
}

/* Of several that were asked the same, the first that answers counts. One that nobody asked answers nothing. */
static __always_inline void answer(const struct place *place)
{
	struct tapio_question *question;
	struct tapio_dns_answer *record;
	struct tapio_question_key key;
	bool foreign;
	__u8 start[4];

	if (!load(place->packet, place->at, start, sizeof(start)) || !(start[2] & IS_ANSWER))
		return;
	key = key_of(place, start);
	question = bpf_map_lookup_elem(&questions, &key);
	if (!question)
		return;
	foreign = question->attempts == 1 && !is_asked(question, place->server);
	record = reserve(TAPIO_DNS_ANSWER, sizeof(*record));
	if (record) {
		record->task = question->task;
		record->latency_ns = since(question->asked_ns, record->head.time_ns);
		__builtin_memcpy(record->server, place->server, sizeof(record->server));
		record->netns = question->netns;
		record->attempts = question->attempts;
		record->length = place->length;
		record->foreign = foreign;
		read_message(place, record->message);
		submit(record, false);
	}
	if (!foreign)
		bpf_map_delete_elem(&questions, &key);
}

static __always_inline int sent(struct __sk_buff *packet, const int how)
{
	struct place place = {};
	bool is_there = find(packet, &place, true);
	int i;

	for (i = 0; i < MOST_MESSAGES && is_there; i++) {
		ask(&place, how);
		is_there = next(&place);
	}
	return PASS;
}

SEC("cgroup_skb/egress")
int sent_btf(struct __sk_buff *packet)
{
	return sent(packet, BY_BTF);
}

SEC("cgroup_skb/egress")
int sent_probed(struct __sk_buff *packet)
{
	return sent(packet, BY_PROBE);
}

SEC("cgroup_skb/egress")
int sent_of_group(struct __sk_buff *packet)
{
	return sent(packet, BY_GROUP);
}

SEC("cgroup_skb/ingress")
int received_packet(struct __sk_buff *packet)
{
	struct place place = {};
	bool is_there = find(packet, &place, false);
	int i;

	for (i = 0; i < MOST_MESSAGES && is_there; i++) {
		answer(&place);
		is_there = next(&place);
	}
	return PASS;
}

SEC("cgroup/sock_release")
int closed(struct bpf_sock *sk)
{
	__u64 key = bpf_get_socket_cookie(sk);
	struct tapio_asker *asker = bpf_map_lookup_elem(&askers, &key);

	if (asker)
		asker->closed_ns = bpf_ktime_get_boot_ns();
	return PASS;
}

/* ICMP says of a socket that asks one server alone that nobody is there, or a connection breaks. */
SEC("tp_btf/inet_sk_error_report")
int BPF_PROG(failed, struct sock *sk)
{
	struct tapio_asker *asker;
	__u64 key;

	if (sk->sk_protocol != IPPROTO_UDP && sk->sk_protocol != IPPROTO_TCP)
		return 0;
	key = bpf_get_socket_cookie(sk);
	asker = bpf_map_lookup_elem(&askers, &key);
	if (!asker)
		return 0;
	asker->error = sk->sk_err;
	asker->failed_ns = bpf_ktime_get_boot_ns();
	return 0;
}
