/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* PostgreSQL: chapter 53 of its manual (17). A part of database.bpf.h. */
#ifndef TAPIO_POSTGRESQL_BPF_H
#define TAPIO_POSTGRESQL_BPF_H

#include "query.bpf.h"

#define MOST_MESSAGES 6 /* before an error in one answer */

static __always_inline __u32 big_endian(const __u8 *at)
{
	return (__u32)at[0] << 24 | (__u32)at[1] << 16 | (__u32)at[2] << 8 | at[3];
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

#endif
