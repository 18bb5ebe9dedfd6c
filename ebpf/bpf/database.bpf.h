/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Queries of Redis, PostgreSQL and MySQL: from the first bytes of a query to the first of its answer, as with HTTP.
 * What is sent while a query waits is a part of it, or another one behind it, which is not counted. */
#ifndef TAPIO_DATABASE_BPF_H
#define TAPIO_DATABASE_BPF_H

#include "mysql.bpf.h"
#include "postgresql.bpf.h"
#include "redis.bpf.h"

static __always_inline enum tapio_query query_of(__u32 protocol, const struct head *head, __u64 length)
{
	if (protocol == TAPIO_REDIS)
		return redis_query(redis_command(head->line));
	if (protocol == TAPIO_POSTGRESQL)
		return postgresql_query(head, length);
	return mysql_query(head);
}

static __always_inline __u32 outcome_of(struct tapio_conversation *at, const struct head *head)
{
	if (at->protocol == TAPIO_REDIS)
		return redis_outcome(at->code, head->line);
	if (at->protocol == TAPIO_POSTGRESQL)
		return postgresql_outcome(at->code, &head->payload);
	return mysql_outcome(at->code, head->line);
}

static __always_inline void settle(struct tapio_conversation *at, struct sock *sk, __u32 protocol, __u32 role,
				   const bool direct)
{
	introduce(at, sk, role, direct);
	at->protocol = protocol;
	at->key.is_query = 1;
}

/* What nobody knows what it speaks may have asked by this message, unless it is the answer to what was asked before. */
static __always_inline void suppose(struct tapio_conversation *at, struct sock *sk, __u32 protocol, __u32 direction,
				    const bool direct)
{
	at->protocol = protocol;
	at->asked_way = direction;
	wait_from_now(at, sk, direct);
}

static __always_inline bool answers_supposed(struct tapio_conversation *at, const struct head *head, __u32 direction)
{
	if (at->protocol == TAPIO_HTTP || direction == at->asked_way)
		return false;
	return at->protocol == TAPIO_REDIS ? is_redis_answer(head->line) : head->line[3] == 1;
}

/* Nothing was moved before in the other direction. */
static __always_inline bool is_first(struct sock *sk, __u32 direction, const bool direct)
{
	struct tcp_sock *tcp = tcp_of(sk, direct);

	if (!tcp)
		return false;
	return direction == TAPIO_SENT ? !GET(direct, tcp, bytes_received) : !GET(direct, tcp, bytes_sent);
}

/* What is not known yet may be told by the answer. */
static __always_inline void suppose_any(struct tapio_conversation *at, struct sock *sk, const struct head *head,
					__u64 length, __u32 direction, const bool direct)
{
	at->protocol = TAPIO_HTTP;
	rest(at, is_recent());
	if (redis_command(head->line))
		suppose(at, sk, TAPIO_REDIS, direction, direct);
	else if (is_mysql_query(head, length))
		suppose(at, sk, TAPIO_MYSQL, direction, direct);
}

/* Whether somebody speaks with a database here, by what no other protocol begins with, or by a query and its answer. */
static __always_inline bool recognize(struct tapio_conversation *at, struct sock *sk, const struct head *head,
				      __u64 length, __u32 direction, const bool direct)
{
	__u32 asker = direction == TAPIO_SENT ? TAPIO_CLIENT : TAPIO_SERVER;
	__u32 answerer = TAPIO_CLIENT + TAPIO_SERVER - asker;

	if (answers_supposed(at, head, direction)) {
		settle(at, sk, at->protocol, answerer, direct);
		return true;
	}
	suppose_any(at, sk, head, length, direction, direct);
	if (is_postgresql_startup(head, length) || is_postgresql_query(head, length)) {
		settle(at, sk, TAPIO_POSTGRESQL, asker, direct);
	} else if (redis_command(head->line) && is_first(sk, direction, direct)) {
		rest(at, is_recent());
		settle(at, sk, TAPIO_REDIS, asker, direct);
	} else if (is_mysql_greeting(head, length) && is_first(sk, direction, direct)) {
		settle(at, sk, TAPIO_MYSQL, answerer, direct);
		if (head->line[MYSQL_HEADER] == MYSQL_ERROR) /* who connects asks by that */
			wait_from_now(at, sk, direct);
	}
	return at->key.role;
}

static __always_inline void see_query(struct tapio_conversation *at, struct sock *sk, const struct head *head,
				      __u64 length, const bool direct)
{
	enum tapio_query kind;

	if (at->since_ns)
		return;
	kind = query_of(at->protocol, head, length);
	if (kind == NO_QUERY)
		return;
	at->key.health_check = at->by_checker || kind == CHECK;
	wait_from_now(at, sk, direct);
	see_wait(at, is_recent());
}

static __always_inline void see_answer(struct tapio_conversation *at, struct sock *sk, const struct head *head,
				       const bool direct)
{
	struct tcp_sock *tcp = tcp_of(sk, direct);
	__u32 outcome;

	if (!tcp || !at->since_ns)
		return;
	outcome = outcome_of(at, head);
	count_sample(at);
	end(at, sk, outcome, moved_at(tcp, direct), true, direct);
}

/* What a connection to a database moves. */
static __always_inline void converse(struct tapio_conversation *at, struct sock *sk, const struct head *head,
				     __u64 length, __u32 direction, const bool direct)
{
	if (asks(at, direction))
		see_query(at, sk, head, length, direct);
	else
		see_answer(at, sk, head, direct);
}

#endif
