/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Where nobody reads what requests say of themselves. */
#ifndef TAPIO_REQUESTS_UNREAD_BPF_H
#define TAPIO_REQUESTS_UNREAD_BPF_H

#include "http.bpf.h"

static __always_inline void see_request(struct tapio_conversation *at, struct sock *sk, const struct payload *request)
{
}

static __always_inline void see_failure(__u64 now)
{
}

static __always_inline void fill_request(struct tapio_http_error *out, struct sock *sk, __u32 route, __u64 begun_ns)
{
}

#endif
