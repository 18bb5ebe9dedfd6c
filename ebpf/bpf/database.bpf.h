/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Queries of Redis, PostgreSQL and MySQL: from the first bytes of a query to the first of its answer, as with HTTP.
 * What is sent while a query waits is a part of it, or another one behind it, which is not counted. */
#ifndef TAPIO_DATABASE_BPF_H
#define TAPIO_DATABASE_BPF_H

#include "mysql.bpf.h"
#include "postgresql.bpf.h"
#include "redis.bpf.h"

/* What the beginning of a message looks like. */
enum {
	REDIS_COMMAND = 1,
	REDIS_ANSWER = 2,
	MYSQL_QUERY = 4,
	MYSQL_ANSWER = 8,
	MYSQL_BEGINS = 16, /* what only a server says, and first of all */
	MYSQL_REFUSES = 32,
	POSTGRESQL_QUERY = 64,
};

/* Verified by itself, as health_check_in_user_memory(), and so are the two below. */
__noinline int looks_of(const struct head *head, __u64 length)
{
	int looks = 0;

	if (!head)
		return 0;
	if (redis_command(head->line))
		looks |= REDIS_COMMAND;
	if (is_redis_answer(head->line))
		looks |= REDIS_ANSWER;
	if (is_mysql_query(head, length))
		looks |= MYSQL_QUERY;
	if (head->line[3] == 1)
		looks |= MYSQL_ANSWER;
	if (is_mysql_greeting(head, length))
		looks |= head->line[MYSQL_HEADER] == MYSQL_ERROR ? MYSQL_BEGINS | MYSQL_REFUSES : MYSQL_BEGINS;
	if (is_postgresql_startup(head, length) || is_postgresql_query(head, length))
		looks |= POSTGRESQL_QUERY;
	return looks;
}

__noinline int query_of(__u32 protocol, const struct head *head, __u64 length)
{
	if (!head)
		return NO_QUERY;
	if (protocol == TAPIO_REDIS)
		return redis_query(redis_command(head->line));
	if (protocol == TAPIO_POSTGRESQL)
		return postgresql_query(head, length);
	return mysql_query(head);
}

__noinline int outcome_of(struct tapio_conversation *at, const struct head *head)
{
	if (!at || !head)
		return WELL;
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

static __always_inline bool answers_supposed(struct tapio_conversation *at, int looks, __u32 direction)
{
	if (at->protocol == TAPIO_HTTP || direction == at->asked_way)
		return false;
	return looks & (at->protocol == TAPIO_REDIS ? REDIS_ANSWER : MYSQL_ANSWER);
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
static __always_inline void suppose_any(struct tapio_conversation *at, struct sock *sk, int looks, __u32 direction,
					const bool direct)
{
	at->protocol = TAPIO_HTTP;
	rest(at, is_recent());
	if (looks & REDIS_COMMAND)
		suppose(at, sk, TAPIO_REDIS, direction, direct);
	else if (looks & MYSQL_QUERY)
		suppose(at, sk, TAPIO_MYSQL, direction, direct);
}

/* Whether somebody speaks with a database here, by what no other protocol begins with, or by a query and its answer. */
static __always_inline bool recognize(struct tapio_conversation *at, struct sock *sk, const struct head *head,
				      __u64 length, __u32 direction, const bool direct)
{
	__u32 asker = direction == TAPIO_SENT ? TAPIO_CLIENT : TAPIO_SERVER;
	__u32 answerer = TAPIO_CLIENT + TAPIO_SERVER - asker;
	int looks = looks_of(head, length);
	bool is_answer = answers_supposed(at, looks, direction);
	__u32 protocol = at->protocol;

	if (!is_answer) {
		suppose_any(at, sk, looks, direction, direct);
		protocol = TAPIO_HTTP;
		if (looks & POSTGRESQL_QUERY)
			protocol = TAPIO_POSTGRESQL;
		else if (looks & (REDIS_COMMAND | MYSQL_BEGINS) && is_first(sk, direction, direct))
			protocol = looks & REDIS_COMMAND ? TAPIO_REDIS : TAPIO_MYSQL;
	}
	if (protocol == TAPIO_HTTP)
		return false;
	if (protocol == TAPIO_REDIS && !is_answer)
		rest(at, is_recent());
	/* of MySQL only greetings are known without a question before them */
	settle(at, sk, protocol, is_answer || protocol == TAPIO_MYSQL ? answerer : asker, direct);
	if (looks & MYSQL_REFUSES) /* who connects asks by that */
		wait_from_now(at, sk, direct);
	return true;
}

static __always_inline void see_query(struct tapio_conversation *at, struct sock *sk, const struct head *head,
				      __u64 length, const bool direct)
{
	int kind;

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
