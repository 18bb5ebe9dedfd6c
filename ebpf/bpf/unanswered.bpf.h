/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Requests without a response, by the end of their connection: the callee ends it and has sent nothing, or the caller
 * has waited and closes. A part of http.bpf.h. */
#ifndef TAPIO_UNANSWERED_BPF_H
#define TAPIO_UNANSWERED_BPF_H

/* Only the owner shuts both ways down before the state changes. Once half of it is closed, closing the rest leaves the
 * state as it is, and the kernel says so. */
static __always_inline bool is_closed_by_owner(struct sock *sk, int from, int to, const bool direct)
{
	bool is_close = from == to || (from == TCP_ESTABLISHED && (to == TCP_FIN_WAIT1 || to == TCP_CLOSE));

	return is_close && GET(direct, sk, sk_shutdown) == SHUTDOWN_MASK;
}

static __always_inline bool is_ended_by_peer(int from, int to)
{
	return (from == TCP_ESTABLISHED && to == TCP_CLOSE_WAIT) || (from == TCP_FIN_WAIT1 && to == TCP_CLOSING) ||
	       (from == TCP_FIN_WAIT2 && to == TCP_CLOSE);
}

/* Reset, or without any sign of the peer for too long; not from outside, as by `ss --kill`. */
static __always_inline bool is_broken(struct sock *sk, int to, const bool direct)
{
	int error = to == TCP_CLOSE ? GET(direct, sk, sk_err) : 0;

	return error && error != ECONNABORTED;
}

/* What has come since the request began, also if nobody has taken it yet. The end of what the peer sends counts as a
 * byte. */
static __always_inline __u32 came(struct tapio_conversation *at, struct tcp_sock *tcp, const bool direct)
{
	return GET(direct, tcp, rcv_nxt) - at->taken;
}

/* What comes without being an answer: the server's session tickets, and the alert that ends (RFC 8446, 4.6.1 and 6.1).
 */
#define MOST_WITHOUT_ANSWER 1024

/* Whether no more came than the end of what the peer sends, or than TLS itself says. */
static __always_inline bool is_nothing(struct tapio_conversation *at, __u32 came, __u32 nothing)
{
	return came == nothing || (at->is_tls && came - nothing < MOST_WITHOUT_ANSWER);
}

static __always_inline bool is_waiting(struct tapio_conversation *at)
{
	return at->since_ns && at->key.role == TAPIO_CLIENT && !at->is_doubted;
}

/* Who dies waits for nothing any more. */
static __always_inline void give_up(struct tapio_conversation *at, struct sock *sk, struct tcp_sock *tcp,
				    const bool direct)
{
	__u64 now = bpf_ktime_get_ns();

	if (is_waiting(at) && is_nothing(at, came(at, tcp, direct), 0) && since(at->since_ns, now) >= LEAST_WAIT_NS &&
	    !is_exiting())
		end(at, sk, NO_RESPONSE, now, true, direct);
	rest(at, is_recent());
}

/* Whether this change of state may end a wait. */
static __always_inline bool may_end_wait(int from)
{
	return from == TCP_ESTABLISHED || from == TCP_FIN_WAIT1 || from == TCP_FIN_WAIT2 || from == TCP_CLOSE_WAIT;
}

/* Of what came encrypted right before the end of what the peer sends, nobody knows whether it is an answer before its
 * owner has taken it: he has, when he closes. A peer that resets what it has half closed changes the state before the
 * shutdown, and leaves whoever still answers it alone. */
static __always_inline void end_untaken(struct tapio_conversation *at, struct sock *sk, struct tcp_sock *tcp,
					const bool direct)
{
	if (GET(direct, sk, sk_shutdown) != SHUTDOWN_MASK)
		return;
	if (at->is_tls && is_waiting(at) && is_nothing(at, came(at, tcp, direct), 1) && !is_exiting())
		end(at, sk, NO_RESPONSE, bpf_ktime_get_ns(), true, direct);
	rest(at, is_recent());
}

static __always_inline void end_exchange(struct tapio_conversation *at, struct sock *sk, int from, int to,
					 const bool direct)
{
	struct tcp_sock *tcp = tcp_of(sk, direct);
	__u32 nothing;

	if (!tcp || !at->since_ns)
		return;
	if (is_closed_by_owner(sk, from, to, direct))
		return give_up(at, sk, tcp, direct);
	if (from == TCP_CLOSE_WAIT)
		return end_untaken(at, sk, tcp, direct);
	if (is_broken(sk, to, direct))
		nothing = 0;
	else if (is_ended_by_peer(from, to))
		nothing = 1;
	else
		return;
	if (at->is_tls && nothing && came(at, tcp, direct) > nothing)
		return;
	if (is_waiting(at) && is_nothing(at, came(at, tcp, direct), nothing))
		end(at, sk, NO_RESPONSE, bpf_ktime_get_ns(), false, direct);
}

static __always_inline void end_wait(struct tapio_conversation *at, struct sock *sk, int from, int to,
				     const bool direct)
{
	end_exchange(at, sk, from, to, direct);
	if (is_closed_by_owner(sk, from, to, direct) || is_ended_by_peer(from, to) || to == TCP_CLOSE)
		give_place_back(at, is_recent());
}

/* Where conversations are found by address. */
static __always_inline int change(struct sock *sk, int from, int to, const bool direct)
{
	struct tapio_conversation *at;

	if (!is_tcp(sk, direct))
		return 0;
	see_connecting(sk, from, to, direct);
	if (!may_end_wait(from))
		return 0;
	at = conversation_at(sk, false, direct);
	if (at)
		end_wait(at, sk, from, to, direct);
	return 0;
}

#endif
