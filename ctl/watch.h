/*
 * A status that is kept current: on a terminal the screen is drawn anew, as
 * watch(1) does; elsewhere every balancer that has changed gets a line, as from
 * kubectl get --watch.
 */
#ifndef APILB_CTL_WATCH_H
#define APILB_CTL_WATCH_H

#include <stdbool.h>

#include "ctl/status.h"
#include "ctl/style.h"

struct watch;

/* problems: only balancers that are not well (on a terminal). */
struct watch *watch_new(bool problems);
void watch_free(struct watch *watch);

void watch_show(struct watch *watch, const struct status *status, const struct style *style, FILE *out);

/* On a terminal, draws the last status again, with the reason why there is no newer one. */
void watch_show_lost(struct watch *watch, const struct err *why, const struct style *style, FILE *out);

#endif
