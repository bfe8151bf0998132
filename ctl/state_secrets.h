/*
 * `state export --with-secrets`. The daemon gives no secret out: they are taken
 * from the spec files, and who may read those may have them.
 */
#ifndef APILB_CTL_STATE_SECRETS_H
#define APILB_CTL_STATE_SECRETS_H

#include "common/err.h"

struct ctl;
struct json_object;

/*
 * reply: of GET /v1/state?format=json. Puts `password` and `privateKey` into the `ssh` of each entry; files
 * that specs name for these are read, since flexkube has only the texts. Says on stderr what flexkube will
 * miss all the same. All or nothing: an entry whose spec file cannot be read, or has no such balancer any
 * more, is an error.
 */
int state_secrets_add(struct ctl *ctl, struct json_object *reply, struct err *err);

/* Wipes and frees a text that has secrets in it. */
void state_secrets_forget(char *text);

#endif
