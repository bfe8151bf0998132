#include "ctl/state_secrets.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/secret_file.h"
#include "common/text.h"
#include "ctl/ctl.h"
#include "ctl/json.h"
#include "ctl/spec_file.h"

void state_secrets_forget(char *text)
{
	explicit_bzero(text, strlen(text));
	free(text);
}

/* The spec is "prod" in "prod/10.0.0.1/name". */
static char *spec_of(const char *id)
{
	return xstrndup(id, strcspn(id, "/"));
}

static const char *file_of(struct json_object *status, const char *spec)
{
	struct json_object *specs = json_list(status, "specs");

	for (size_t i = 0; i < json_length(specs); i++) {
		struct json_object *row = json_item(specs, i);

		if (strcmp(json_text(row, "name", ""), spec) == 0)
			return json_text(row, "file", NULL);
	}
	return NULL;
}

/* Context of the loop over the entries, which ends at the first error. */
struct walk {
	struct json_object *ids, *status, *read;
	struct spec_list *specs;
	struct err *err;
	int rc;
};

static void read_spec(void *arg, const char *key, struct json_object *value)
{
	struct walk *walk = arg;
	const char *id = json_as_text(value), *file;
	char *spec = spec_of(id ? id : "");

	file = file_of(walk->status, spec);
	if (walk->rc == 0 && !file)
		walk->rc =
			err_set(walk->err, ERR_PERMANENT,
				"%s: apilbd does not say which file spec \"%s\" is in", id ? id : key, spec);
	else if (walk->rc == 0 && !json_flag(walk->read, file))
		spec_list_add(walk->specs, file);
	if (file)
		json_object_object_add(walk->read, file, json_object_new_boolean(true));
	free(spec);
}

/* Reads the files of all specs that the entries belong to, each file once. */
static int read_specs(struct ctl *ctl, struct json_object *ids, struct spec_list *specs, struct err *err)
{
	struct json_object *status = request_json(ctl, "GET", "/v1/status", NULL, QUICK_REQUEST_MS, err);
	struct walk walk = {.status = status,
			    .read = json_object_new_object(),
			    .specs = specs,
			    .err = err,
			    .rc = status ? 0 : -1};

	json_each(ids, read_spec, &walk);
	json_object_put(walk.read);
	json_object_put(status);
	if (walk.rc == 0 && specs->errors.n > 0) {
		spec_list_print_errors(specs);
		return err_set(
			err, ERR_PERMANENT,
			"the secrets are in the spec files, and not all of them can be used (see above)");
	}
	return walk.rc;
}

static const struct spec_instance *find_instance(const struct spec_list *specs, const char *id)
{
	for (size_t i = 0; i < specs->n; i++)
		for (size_t j = 0; j < specs->specs[i]->instances_n; j++)
			if (strcmp(specs->specs[i]->instances[j].id, id) == 0)
				return &specs->specs[i]->instances[j];
	return NULL;
}

/* A secret is given as text or in a file. Adds nothing if neither is given. */
static int add_secret(struct json_object *ssh, const char *key, const char *given, const char *file,
		      enum secret_kind kind, struct err *err)
{
	char *text;

	if (given) {
		json_object_object_add(ssh, key, json_object_new_string(given));
	} else if (file) {
		if (secret_file_read(file, kind, false, &text, err) < 0)
			return -1;
		json_object_object_add(ssh, key, json_object_new_string(text));
		secret_free(text);
	}
	return 0;
}

static void warn(const char *id, const char *what)
{
	char *safe = text_printable(id, TEXT_LINE);

	fprintf(stderr, "apilbctl: %s: %s\n", safe, what);
	free(safe);
}

static int complete_entry(struct json_object *entry, const char *id, const struct spec_list *specs,
			  struct err *err)
{
	struct json_object *ssh = json_map(json_map(entry, "host"), "ssh");
	const struct spec_instance *instance = find_instance(specs, id);
	const struct ssh_settings *from;

	if (!ssh)
		return 0; /* the local engine */
	if (!instance || !instance->host.ssh)
		return err_set(
			err, ERR_PERMANENT,
			"%s: the spec file has no such load balancer any more: its secrets cannot be had",
			id);
	from = instance->host.ssh;
	if (add_secret(ssh, "password", from->password, from->password_file, SECRET_PASSWORD, err) < 0 ||
	    add_secret(ssh, "privateKey", from->private_key, from->private_key_file, SECRET_KEY, err) < 0)
		return err_prefix(err, "%s", id);
	if (!json_any(ssh, "password") && !json_any(ssh, "privateKey"))
		warn(id, "has neither password nor key: flexkube takes it only where SSH_AUTH_SOCK is set");
	if (from->jump)
		warn(id, "is reached through a jump host, and flexkube knows none");
	return 0;
}

static void complete(void *arg, const char *key, struct json_object *entry)
{
	struct walk *walk = arg;

	if (walk->rc == 0)
		walk->rc = complete_entry(entry, json_text(walk->ids, key, "-"), walk->specs, walk->err);
}

int state_secrets_add(struct ctl *ctl, struct json_object *reply, struct err *err)
{
	struct json_object *state = json_map(reply, "state"), *ids = json_map(reply, "instances");
	struct spec_list specs = {.n = 0};
	struct walk walk = {.ids = ids, .specs = &specs, .err = err};

	if (!state || !ids)
		return err_set(
			err, ERR_UNREACHABLE,
			"what answers is an apilbd that is too old for --with-secrets: it does not say which "
			"load balancer an entry is of");
	walk.rc = read_specs(ctl, ids, &specs, err);
	json_each(state, complete, &walk);
	spec_list_clear(&specs);
	return walk.rc;
}
