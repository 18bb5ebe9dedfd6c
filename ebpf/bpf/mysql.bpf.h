/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* MySQL: "Client/Server Protocol" in the documentation of its source. A part of database.bpf.h. */
#ifndef TAPIO_MYSQL_BPF_H
#define TAPIO_MYSQL_BPF_H

#include "query.bpf.h"

#define MYSQL_HEADER 4 /* length (3 bytes), number */

static __always_inline __u32 mysql_length(const __u8 *line)
{
	return (__u32)line[2] << 16 | (__u32)line[1] << 8 | line[0];
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

#endif
