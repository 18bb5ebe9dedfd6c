/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Connections of those who do nothing but test servers, whatever their requests say of them: kubelet, by its name. Its
 * server knows it by the ends of the connection. */
#ifndef TAPIO_CHECKERS_BPF_H
#define TAPIO_CHECKERS_BPF_H

#include "health_check.bpf.h"
#include "sock.bpf.h"

/* Both ends of a connection, as client and server see them alike. */
struct ends {
	__u32 client[4];
	__u32 server[4];
	__u32 client_port;
	__u32 server_port;
};

/* Sockets by which a checker connects: not before it is answered has it a port. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u32);
} checkers_connecting SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct ends);
	__type(value, __u32);
} checkers_connections SEC(".maps");

static __always_inline bool is_checkers_name(const __u8 name[TAPIO_COMM])
{
	__u64 letters;

	__builtin_memcpy(&letters, name, sizeof(letters));
	return letters == LONG('k', 'u', 'b', 'e', 'l', 'e', 't', 0);
}

static __always_inline void ends_of(struct ends *ends, struct sock *sk, __u32 role, const bool direct)
{
	if (role == TAPIO_CLIENT) {
		local_of(sk, ends->client, direct);
		peer_of(sk, ends->server, direct);
		ends->client_port = local_port_of(sk, direct);
		ends->server_port = peer_port_of(sk, direct);
	} else {
		peer_of(sk, ends->client, direct);
		local_of(sk, ends->server, direct);
		ends->client_port = peer_port_of(sk, direct);
		ends->server_port = local_port_of(sk, direct);
	}
}

static __always_inline bool is_checkers_connection(struct sock *sk, __u32 role, const bool direct)
{
	struct ends ends = {};

	ends_of(&ends, sk, role, direct);
	return bpf_map_lookup_elem(&checkers_connections, &ends);
}

/* Notes whom a checker connects to, before its server sees anything of it. */
static __always_inline void see_connecting(struct sock *sk, int from, int to, const bool direct)
{
	__u32 yes = 1;
	__u64 key = (__u64)sk;
	struct ends ends = {};
	__u8 name[TAPIO_COMM] = {};

	if (to == TCP_SYN_SENT) {
		fill_current_name(name);
		if (is_checkers_name(name))
			bpf_map_update_elem(&checkers_connecting, &key, &yes, BPF_ANY);
		return;
	}
	if (from != TCP_SYN_SENT || !bpf_map_lookup_elem(&checkers_connecting, &key))
		return;
	bpf_map_delete_elem(&checkers_connecting, &key);
	if (to != TCP_ESTABLISHED)
		return;
	ends_of(&ends, sk, TAPIO_CLIENT, direct);
	bpf_map_update_elem(&checkers_connections, &ends, &yes, BPF_ANY);
}

#endif
