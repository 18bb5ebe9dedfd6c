/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the databases have in common. A part of database.bpf.h. */
#ifndef TAPIO_QUERY_BPF_H
#define TAPIO_QUERY_BPF_H

#include "payload.bpf.h"

/* What stands for the answers of databases among the statuses of HTTP. */
enum { WELL = 200, WRONG_QUERY = 400, FAILED = 500 };

enum tapio_query {
	NO_QUERY, /* nobody answers it, or not before something else happens */
	QUERY,
	CHECK, /* whether the server is there */
};

static __always_inline bool is_digit(__u8 byte)
{
	return byte >= '0' && byte <= '9';
}

/* By the class of SQLSTATE (ISO 9075, table 38, and PostgreSQL's appendix A): warnings, cardinality, data, constraints,
 * transactions to be tried again, and what a procedure says. */
static __always_inline bool is_wrong_for_sql(const __u8 *state)
{
	__u8 a = state[0], b = state[1];

	return (a == '0' && b < '3') || (a == '2' && b >= '1' && b <= '3') || (a == '4' && (b == '0' || b == '4')) ||
	       (a == 'P' && b == '0');
}

#endif
