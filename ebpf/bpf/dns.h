/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Questions to name servers and their answers, as they went over a socket of UDP or TCP. Addresses are network byte
 * order, IPv4 as ::ffff:a.b.c.d; ports are host order. */
#ifndef TAPIO_DNS_H
#define TAPIO_DNS_H

#include "records.h"

/* Header (RFC 1035, 4.1.1), the longest name, type and class: 271, in whole words. */
#define TAPIO_DNS_BYTES 272

/* A question that waits for its answer. */
struct tapio_question {
	struct tapio_task task;
	__u64 asked_ns;  /* first */
	__u64 again_ns;  /* last */
	__u64 hash;      /* of the message: the same question again has the same */
	__u32 server[4]; /* that was asked last */
	__u32 netns;
	__u32 attempts;
	__u32 length; /* of the message */
	__u32 pad;
	__u8 message[TAPIO_DNS_BYTES]; /* its beginning, the rest is zero */
};
_Static_assert(sizeof(struct tapio_question) == 368, "tapio_question");

/* Ids are the socket's own. */
struct tapio_question_key {
	__u64 socket;
	__u64 id;
};
_Static_assert(sizeof(struct tapio_question_key) == 16, "tapio_question_key");

/* A socket that has asked. */
struct tapio_asker {
	__u64 closed_ns; /* 0: it is open */
	__u64 failed_ns; /* when the network last said that what it sent cannot arrive; 0: never */
	__u32 error;     /* as it said then, errno */
	__u32 pad;
};
_Static_assert(sizeof(struct tapio_asker) == 24, "tapio_asker");

#define TAPIO_DNS_ANSWER 9

struct tapio_dns_answer {
	struct tapio_head head;
	struct tapio_task task; /* who asked */
	__u64 latency_ns;       /* since it was asked first */
	__u32 server[4];        /* that answered */
	__u32 netns;
	__u32 attempts;
	__u32 length;  /* of the message */
	__u32 foreign; /* 1: from a server that was not asked */
	__u8 message[TAPIO_DNS_BYTES];
};
_Static_assert(sizeof(struct tapio_dns_answer) == 368, "tapio_dns_answer");

#endif
