#include "daemon/core/spec/spec_host.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/spec/spec_schema.h"

#define SSH_PORT 22

struct yaml_value *spec_host_own_ssh(const struct yaml_value *owner)
{
	return given(given(owner, "host"), "ssh");
}

static bool gives_any(const struct spec_layers *layers, const char *const *keys)
{
	for (; *keys; keys++)
		for (size_t i = 0; i < SPEC_MAX_LAYERS; i++)
			if (given(layers->map[i], *keys))
				return true;
	return false;
}

/*
 * Looks at the document, not at the filled struct: a key that does not parse is wrong, but not
 * missing.
 */
static void check_authentication(const struct spec_layers *layers, const struct spec_context *context,
				 struct spec_merge *merge)
{
	static const char *const ways[] = {"password", "passwordFile", "privateKey", "privateKeyFile", NULL};

	if (!context->have_agent && !gives_any(layers, ways))
		report_at(merge->report, merge->at,
			  "at least one way to authenticate must be available: password, passwordFile, "
			  "privateKey, privateKeyFile, or an agent (SSH_AUTH_SOCK)");
}

/* The SSH settings of a host, and of each host that it is reached through. */
static void check_all_authentication(struct spec_layers layers, const struct spec_context *context,
				     struct spec_merge *merge)
{
	const struct yaml_value *outer = merge->at;
	size_t outermost = merge->report->depth;

	check_authentication(&layers, context, merge);
	while (layers = layers_under(&layers, "jump"), layers_first(&layers)) {
		merge->at = layers_first(&layers);
		report_key(merge->report, "jump");
		check_authentication(&layers, context, merge);
	}
	merge->at = outer;
	report_up(merge->report, outermost);
}

static void merge_ssh(struct spec_host *host, const struct spec_layers *layers,
		      const struct spec_context *context, struct spec_merge *merge)
{
	const struct yaml_value *outer = merge->at;
	size_t before = report_key(merge->report, "ssh");

	if (layers->map[0])
		merge->at = layers->map[0];
	host->ssh = xcalloc(1, sizeof(*host->ssh));
	merge->bytes += sizeof(*host->ssh);
	fields_fill(&spec_ssh_fields, host->ssh, layers, merge);
	check_all_authentication(*layers, context, merge);
	merge->at = outer;
	report_up(merge->report, before);
}

/*
 * flexkube's host.BuildConfig: SSH when the host says so, or when the top
 * level does and the host does not say `direct`. An empty map counts.
 */
void spec_host_merge(struct spec_host *host, struct yaml_value *owner, struct yaml_value *known,
		     struct yaml_value *top_ssh, const struct spec_context *context, struct spec_merge *merge)
{
	struct yaml_value *own = given(owner, "host");
	struct spec_layers layers = {{given(own, "ssh"), known, top_ssh}};
	bool by_ssh = layers.map[0] || (top_ssh && !given(own, "direct"));
	size_t before;

	/* A value that is not a map was reported; nothing more can be said about the host. */
	if ((own && own->marked) || (by_ssh && layers_broken(&layers)))
		return;
	before = report_key(merge->report, "host");
	if (by_ssh)
		merge_ssh(host, &layers, context, merge);
	report_up(merge->report, before);
	spec_host_name(host);
}

/* IPv6 addresses get brackets. */
static char *for_url(const char *address)
{
	return xasprintf(strchr(address, ':') ? "[%s]" : "%s", address);
}

void spec_host_name(struct spec_host *host)
{
	const struct ssh_settings *ssh = host->ssh;
	char *address;

	if (!ssh) {
		host->url = xstrdup("direct");
		host->label = xstrdup("direct");
		return;
	}
	/* A missing address or user was reported. */
	if (!ssh->address || !ssh->user)
		return;
	address = for_url(ssh->address);
	host->url = xasprintf("ssh://%s@%s:%u", ssh->user, address, ssh->port);
	/* A machine whose name is "direct" must not be taken for the local one. */
	if (ssh->port == SSH_PORT && strcmp(ssh->address, "direct") != 0)
		host->label = xstrdup(ssh->address);
	else
		host->label = xasprintf("%s:%u", address, ssh->port);
	free(address);
}

void spec_host_copy(struct spec_host *to, const struct spec_host *from)
{
	*to = (struct spec_host){.url = xstrdup(from->url), .label = xstrdup(from->label)};
	fields_copy(&spec_host_fields, to, from);
}

void spec_host_clear(struct spec_host *host)
{
	fields_clear(&spec_host_fields, host);
	FREE(host->url);
	FREE(host->label);
}

bool spec_host_equal(const struct spec_host *a, const struct spec_host *b)
{
	return fields_equal(&spec_host_fields, a, b);
}
