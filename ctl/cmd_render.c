/* apilbctl render */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/names.h"
#include "common/text.h"
#include "ctl/ctl.h"
#include "ctl/spec_file.h"
#include "daemon/core/haproxy/haproxy.h"

static bool is_index(const struct spec_instance *instance, const char *wanted)
{
	char *end;
	unsigned long index;

	errno = 0;
	index = strtoul(wanted, &end, 10);
	return wanted[0] >= '0' && wanted[0] <= '9' && !*end && !errno && index == instance->index;
}

static bool is_id(const struct spec_instance *instance, const char *wanted)
{
	return strcmp(instance->id, wanted) == 0;
}

static bool is_host_or_name(const struct spec_instance *instance, const char *wanted)
{
	const struct ssh_settings *ssh = instance->host.ssh;

	return strcmp(instance->host.label, wanted) == 0 || strcmp(instance->host.url, wanted) == 0 ||
	       (ssh && strcmp(ssh->address, wanted) == 0) || strcmp(instance->name, wanted) == 0;
}

/* The ways to read INSTANCE. The first way that matches any balancer counts. */
static bool (*const readings[])(const struct spec_instance *, const char *) = {is_id, is_index,
									       is_host_or_name};

/* How many balancers match; *found is the first one. */
static size_t find(const struct spec *spec, const char *wanted, const struct spec_instance **found)
{
	size_t n = 0;

	for (size_t r = 0; r < sizeof(readings) / sizeof(readings[0]) && n == 0; r++)
		for (size_t i = 0; i < spec->instances_n; i++)
			if (readings[r](&spec->instances[i], wanted) && n++ == 0)
				*found = &spec->instances[i];
	return n;
}

static void not_one(const struct spec *spec, const char *wanted, size_t fits, struct err *err)
{
	char *list;
	size_t len;
	FILE *out = text_open(&list, &len);

	for (size_t i = 0; i < spec->instances_n; i++)
		fprintf(out, "\n  %zu  %s", spec->instances[i].index, spec->instances[i].id);
	text_close(out);
	if (wanted)
		err_set(err, ERR_SPEC, "%s: \"%s\" is %s of these balancers:%s", spec->file, wanted,
			fits == 0 ? "none" : "more than one", list);
	else
		err_set(err, ERR_SPEC, "%s: name one of these balancers, by number or id:%s", spec->file,
			list);
	free(list);
}

/* Only one config is printed: HAProxy would read several in a row as one config that nobody wrote. */
static const struct spec_instance *choose(const struct spec *spec, const char *wanted, struct err *err)
{
	const struct spec_instance *found = NULL;
	size_t fits = 0;

	if (spec->instances_n == 0) {
		err_set(err, ERR_SPEC, "%s: there are no balancers in it", spec->file);
		return NULL;
	}
	if (!wanted && spec->instances_n == 1)
		return &spec->instances[0];
	if (wanted)
		fits = find(spec, wanted, &found);
	if (fits == 1)
		return found;
	not_one(spec, wanted, fits, err);
	return NULL;
}

static int render(const struct spec_list *list, const char *path, const char *wanted, const char *owner,
		  struct err *err)
{
	const struct spec_instance *instance;
	char *config;

	if (list->errors.n > 0) {
		spec_list_print_errors(list);
		return EXIT_USAGE;
	}
	if (list->n != 1)
		return err_set(err, ERR_SPEC, "%s: render takes one spec; there are %zu", path, list->n);
	instance = choose(list->specs[0], wanted, err);
	if (!instance)
		return -1;
	config = haproxy_render(instance, owner ? owner : APILB_DEFAULT_OWNER);
	fputs(config, stdout);
	free(config);
	return EXIT_DONE;
}

int run_render(struct ctl *ctl, char **arguments, size_t n, struct err *err)
{
	struct spec_list list = {.n = 0};
	int rc;

	spec_list_add(&list, arguments[0]);
	rc = render(&list, arguments[0], n > 1 ? arguments[1] : NULL, ctl->options.owner, err);
	spec_list_clear(&list);
	return rc;
}
