/*
 * `state export --with-secrets`. The daemon gives out no secrets: they are taken
 * from the spec files, by a user who may read those.
 */
#ifndef APILB_CTL_STATE_SECRETS_H
#define APILB_CTL_STATE_SECRETS_H

#include "common/err.h"

struct ctl;
struct json_object;

/*
 * reply: that of GET /v1/state?format=json. Puts `password` and `privateKey`
 * into the `ssh` of each entry, also from the files that specs name for them,
 * because flexkube knows only the texts. Prints to stderr what flexkube will
 * lack all the same. All or nothing: if a spec file cannot be read, or has no
 * such balancer any more, that is an error.
 */
int state_secrets_add(struct ctl *ctl, struct json_object *reply, struct err *err);

/* Wipes and frees a text that has secrets in it. */
void state_secrets_forget(char *text);

#endif
