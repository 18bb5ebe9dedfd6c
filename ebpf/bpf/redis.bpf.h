/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Redis: RESP (redis.io, "Redis serialization protocol"). A part of database.bpf.h. */
#ifndef TAPIO_REDIS_BPF_H
#define TAPIO_REDIS_BPF_H

#include "query.bpf.h"

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

#endif
