/* How a status looks to a person: a line a balancer, then what is wrong with the specs, then one sentence. */
#ifndef APILB_CTL_STATUS_VIEW_H
#define APILB_CTL_STATUS_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "ctl/status.h"
#include "ctl/style.h"
#include "ctl/table.h"

struct table *status_table_new(void);
/* age is counted from now_ms. */
void status_table_add(struct table *table, const struct balancer *balancer, int64_t now_ms);

/* Everything that the table shows of a balancer, but for its age: when this changes, there is news. The
 * caller frees. */
char *balancer_signature(const struct balancer *balancer);

/* problems: only the balancers that are not well. */
void status_print_table(const struct status *status, bool problems, int64_t now_ms, const struct style *style,
			FILE *out);
/* Prints what stands below the table: balancers without a server, troubles of the daemon itself, every error
 * of every spec that is not valid, rollouts, and warnings. */
void status_print_errors(const struct status *status, const struct style *style, FILE *out);
/* "2 of 3 balancers converged, 1 failed; 1 spec is invalid" */
void status_print_summary(const struct status *status, FILE *out);
/* What a wait is still waiting for, a line each. */
void status_print_missing(const struct status *status, FILE *out);

/* "ssh://root@10.0.0.5:22" -> "10.0.0.5", "ssh://u@[::1]:2222" -> "[::1]:2222". The caller frees. */
char *host_short(const char *url);

#endif
