/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Queries of Redis, PostgreSQL and MySQL: from the first bytes of a query to the first of its answer, as with HTTP.
 * What is sent while a query waits is a part of it, or another one behind it, and not counted. A part of status.bpf.c.
 *
 * Formats: RESP (redis.io, "Redis serialization protocol"), PostgreSQL 17's manual, chapter 53, and "Client/Server
 * Protocol" in the documentation of MySQL's source. */
#ifndef TAPIO_DATABASE_BPF_H
#define TAPIO_DATABASE_BPF_H

#include "payload.bpf.h"

/* What stands for the answers of databases among the statuses of HTTP. */
enum { WELL = 200, WRONG_QUERY = 400, FAILED = 500 };

enum tapio_query {
	NO_QUERY, /* nobody answers it, or not before something else happens */
	QUERY,
	CHECK, /* whether the server is there */
};

#define MOST_MESSAGES 6 /* of PostgreSQL, before an error in one answer */
#define MYSQL_HEADER 4  /* length (3 bytes), number */

static __always_inline __u32 big_endian(const __u8 *at)
{
	return (__u32)at[0] << 24 | (__u32)at[1] << 16 | (__u32)at[2] << 8 | at[3];
}

static __always_inline __u32 mysql_length(const __u8 *line)
{
	return (__u32)line[2] << 16 | (__u32)line[1] << 8 | line[0];
}

static __always_inline bool is_digit(__u8 byte)
{
	return byte >= '0' && byte <= '9';
}

#define UPPER_CASE ~WORD(0x20, 0x20, 0x20, 0x20) /* of letters */

/* The first four letters of a command, which is an array of strings: "*2", "$3", "GET", each with CR LF; of numbers
 * with two digits too. 0: it is none. In registers, as compilers make of a place that varies what verifiers refuse. */
static __always_inline __u32 redis_command(const __u8 line[LINE])
{
	const __u64 *words = (const __u64 *)line;
	__u64 rest, behind = words[1];

	if (line[0] != '*' || !is_digit(line[1]))
		return 0;
	rest = words[0] >> 16 | behind << 48;
	if (is_digit(line[2])) {
		rest = rest >> 8 | (behind >> 8) << 56;
		behind >>= 8;
	}
	if ((rest & 0xffffff) != WORD('\r', '\n', '$', 0) || !is_digit(rest >> 24))
		return 0;
	if (is_digit(rest >> 32)) {
		rest >>= 8;
		behind >>= 8;
	}
	return (__u8)(rest >> 32) == '\r' ? behind & UPPER_CASE : 0;
}

/* Commands that wait for others, or get more than one answer, by how they begin: BLPOP and its like, SUBSCRIBE, XREAD,
 * MONITOR, WAIT, PSYNC, REPLCONF. What else begins so is rare. */
static __always_inline enum tapio_query redis_query(__u32 command)
{
	if (command == WORD('P', 'I', 'N', 'G'))
		return CHECK;
	if (!command || (__u8)command == 'B' || command == WORD('S', 'U', 'B', 'S') ||
	    command == WORD('P', 'S', 'U', 'B') || command == WORD('S', 'S', 'U', 'B') ||
	    command == WORD('X', 'R', 'E', 'A') || command == WORD('M', 'O', 'N', 'I') ||
	    command == WORD('W', 'A', 'I', 'T') || command == WORD('P', 'S', 'Y', 'N') ||
	    command == WORD('R', 'E', 'P', 'L'))
		return NO_QUERY;
	return QUERY;
}

/* The types of answers but arrays, which look like commands. */
static __always_inline bool is_redis_answer(const __u8 *line)
{
	return line[0] == '+' || line[0] == '-' || line[0] == ':' || line[0] == '$' || line[0] == '_';
}

enum { PROTOCOL_3 = 3 << 16, SSL_REQUEST = 80877103, GSS_REQUEST = 80877104 };

static __always_inline bool is_postgresql_startup(const struct head *head, __u64 length)
{
	__u32 code = big_endian(head->line + 4);

	return head->length >= 8 && big_endian(head->line) == length &&
	       (code >> 16 == PROTOCOL_3 >> 16 || code == SSL_REQUEST || code == GSS_REQUEST);
}

/* Query, Parse, Bind, Execute, Function call, Password. All others follow one of these. */
static __always_inline enum tapio_query postgresql_query(const struct head *head, __u64 length)
{
	__u8 type = head->line[0];

	if (type == 'Q' || type == 'P' || type == 'B' || type == 'E' || type == 'F' || type == 'p' ||
	    is_postgresql_startup(head, length))
		return QUERY;
	return NO_QUERY;
}

/* A query that nothing else looks like: its length ends with the message, or where another begins. */
static __always_inline bool is_postgresql_query(const struct head *head, __u64 length)
{
	__u64 inside = big_endian(head->line + 1);
	__u8 type = head->line[0], next;

	if (head->length < 8 || (type != 'Q' && type != 'P' && type != 'B') || inside < 6 || inside >= length)
		return false;
	if (inside + 1 == length)
		return true;
	if (type == 'Q' || inside + 1 >= head->payload.length ||
	    bpf_probe_read_user(&next, 1, head->payload.in + inside + 1))
		return false;
	return next == 'B' || next == 'D' || next == 'E' || next == 'H' || next == 'S';
}

enum {
	COM_QUIT = 0x01,
	COM_QUERY = 0x03,
	COM_PING = 0x0e,
	COM_BINLOG_DUMP = 0x12,
	COM_STMT_PREPARE = 0x16,
	COM_STMT_EXECUTE = 0x17,
	COM_STMT_SEND_LONG_DATA = 0x18,
	COM_STMT_CLOSE = 0x19,
	COM_BINLOG_DUMP_GTID = 0x1e,
	MYSQL_ERROR = 0xff,
	MYSQL_GREETING = 0x0a,
};

/* A whole message, the first of its command. */
static __always_inline bool begins_mysql_command(const struct head *head, __u64 length)
{
	return head->length > MYSQL_HEADER && !head->line[3] && mysql_length(head->line) + MYSQL_HEADER == length;
}

static __always_inline enum tapio_query mysql_query(const struct head *head)
{
	__u8 command = head->line[MYSQL_HEADER];

	if (head->length <= MYSQL_HEADER || head->line[3]) /* what a client says of itself is answered too */
		return QUERY;
	if (command == COM_PING)
		return CHECK;
	if (command == COM_QUIT || command == COM_BINLOG_DUMP || command == COM_BINLOG_DUMP_GTID ||
	    command == COM_STMT_SEND_LONG_DATA || command == COM_STMT_CLOSE)
		return NO_QUERY;
	return QUERY;
}

static __always_inline bool is_mysql_query(const struct head *head, __u64 length)
{
	__u8 command = head->line[MYSQL_HEADER];

	return begins_mysql_command(head, length) &&
	       (command == COM_QUERY || command == COM_STMT_PREPARE || command == COM_STMT_EXECUTE);
}

/* What only a server says, and first of all: its version, or why it takes no connection (error 1040 and others). */
static __always_inline bool is_mysql_greeting(const struct head *head, __u64 length)
{
	const __u8 *said = head->line + MYSQL_HEADER;
	__u32 error = (__u32)said[2] << 8 | said[1];

	if (!begins_mysql_command(head, length) || head->length < 8)
		return false;
	return (said[0] == MYSQL_GREETING && is_digit(said[1])) ||
	       (said[0] == MYSQL_ERROR && error >= 1000 && error < 5000);
}

static __always_inline enum tapio_query query_of(__u32 protocol, const struct head *head, __u64 length)
{
	if (protocol == TAPIO_REDIS)
		return redis_query(redis_command(head->line));
	if (protocol == TAPIO_POSTGRESQL)
		return postgresql_query(head, length);
	return mysql_query(head);
}

/* Whose answers tell of a wrong query, or of where else to ask: ERR, WRONGTYPE, NOSCRIPT, MOVED, ASK, EXECABORT,
 * NOGROUP, BUSYGROUP, BUSYKEY, CROSSSLOT. "ERR max number of clients reached" is none of them. */
static __always_inline bool is_wrong_for_redis(const __u8 code[TAPIO_CODE], const __u8 line[LINE])
{
	__u32 word = WORD(code[0], code[1], code[2], code[3]);

	if (word == WORD('E', 'R', 'R', 0))
		return line[5] != 'm' || line[6] != 'a' || line[7] != 'x';
	if (word == WORD('W', 'R', 'O', 'N'))
		return code[5] == 'T';
	if (word == WORD('B', 'U', 'S', 'Y'))
		return code[4];
	return word == WORD('N', 'O', 'S', 'C') || word == WORD('M', 'O', 'V', 'E') || word == WORD('A', 'S', 'K', 0) ||
	       word == WORD('E', 'X', 'E', 'C') || word == WORD('N', 'O', 'G', 'R') || word == WORD('C', 'R', 'O', 'S');
}

static __always_inline __u32 redis_outcome(__u8 code[TAPIO_CODE], const __u8 line[LINE])
{
	int i;

	if (line[0] != '-')
		return WELL;
	__builtin_memset(code, 0, TAPIO_CODE);
#pragma unroll
	for (i = 1; i < LINE; i++) {
		if (line[i] < 'A' || line[i] > 'Z')
			break;
		code[i - 1] = line[i];
	}
	return is_wrong_for_redis(code, line) ? WRONG_QUERY : FAILED;
}

/* By the class of SQLSTATE (ISO 9075, table 38, and PostgreSQL's appendix A): warnings, cardinality, data, constraints,
 * transactions to be tried again, and what a procedure says. */
static __always_inline bool is_wrong_for_sql(const __u8 *state)
{
	__u8 a = state[0], b = state[1];

	return (a == '0' && b < '3') || (a == '2' && b >= '1' && b <= '3') || (a == '4' && (b == '0' || b == '4')) ||
	       (a == 'P' && b == '0');
}

/* The field C of an error; the two before it are how severe it is. */
static __always_inline __u32 postgresql_error(__u8 code[TAPIO_CODE], const struct payload *answer, __u64 at)
{
	__u8 fields[PART_BYTES] = {};
	__u64 size = answer->length - at;
	int i;

	if (size > PART_BYTES)
		size = PART_BYTES;
	asm volatile("" : "+r"(size));
	if (!size || size > PART_BYTES || !read_part(answer, at, fields, size))
		return FAILED;
#pragma clang loop unroll(disable)
	for (i = 0; i < PART_BYTES - 8; i++) {
		if (fields[i] || fields[i + 1] != 'C')
			continue;
		__builtin_memset(code, 0, TAPIO_CODE);
		__builtin_memcpy(code, fields + i + 2, 5);
		return is_wrong_for_sql(fields + i + 2) ? WRONG_QUERY : FAILED;
	}
	return FAILED;
}

/* What comes before an error in one answer: notices, and that a query was understood. */
static __always_inline bool may_precede_error(__u8 type)
{
	return type == '1' || type == '2' || type == '3' || type == 'n' || type == 't' || type == 'T' || type == 'N' ||
	       type == 'S' || type == 'A' || type == 'C';
}

static __always_inline __u32 postgresql_outcome(__u8 code[TAPIO_CODE], const struct payload *answer)
{
	__u8 message[8] = {};
	__u64 at = 0;
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < MOST_MESSAGES; i++) {
		if (at + 5 > answer->length || !read_part(answer, at, message, 5))
			return WELL;
		if (message[0] == 'E')
			return postgresql_error(code, answer, at + 5);
		if (!may_precede_error(message[0]))
			return WELL;
		at += 1 + (__u64)big_endian(message + 1);
	}
	return WELL;
}

static __always_inline __u32 mysql_outcome(__u8 code[TAPIO_CODE], const __u8 line[LINE])
{
	const __u8 *said = line + MYSQL_HEADER;
	__u32 error = (__u32)said[2] << 8 | said[1];

	if (said[0] != MYSQL_ERROR)
		return WELL;
	__builtin_memset(code, 0, TAPIO_CODE);
	code[0] = '0' + error / 1000 % 10;
	code[1] = '0' + error / 100 % 10;
	code[2] = '0' + error / 10 % 10;
	code[3] = '0' + error % 10;
	return said[3] == '#' && is_wrong_for_sql(said + 4) ? WRONG_QUERY : FAILED;
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
