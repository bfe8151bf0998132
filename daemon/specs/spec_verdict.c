#include "daemon/specs/spec_verdict.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* The argument of the parser's callbacks, which record its questions in the verdict. */
struct parsing {
	struct verdict *verdict;
	const struct verdict_context *context;
};

void verdict_clear(struct verdict *verdict)
{
	for (size_t i = 0; i < verdict->read_n; i++)
		free(verdict->read[i].path);
	free(verdict->read);
	*verdict = (struct verdict){0};
}

void verdict_copy(struct verdict *to, const struct verdict *from)
{
	*to = *from;
	to->read = from->read_n ? xcalloc(from->read_n, sizeof(*to->read)) : NULL;
	for (size_t i = 0; i < from->read_n; i++) {
		to->read[i] = from->read[i];
		to->read[i].path = xstrdup(from->read[i].path);
	}
}

static bool on_recorded(void *arg)
{
	const struct parsing *parsing = arg;
	const struct verdict_context *context = parsing->context;

	parsing->verdict->asked = true;
	parsing->verdict->recorded = context->has_recorded(context->arg, context->name);
	return parsing->verdict->recorded;
}

static int on_read(void *arg, const char *path, char **text, struct err *err)
{
	const struct parsing *parsing = arg;
	struct verdict *verdict = parsing->verdict;
	int rc = parsing->context->read_file(parsing->context->named, path, text, err);
	struct spec_source *source;

	verdict->read = xreallocarray(verdict->read, verdict->read_n + 1, sizeof(*verdict->read));
	source = &verdict->read[verdict->read_n++];
	*source = (struct spec_source){.path = xstrdup(path)};
	if (rc == 0)
		sha256_hex(*text, strlen(*text), source->sha256);
	else
		sha256_hex(err->message, strlen(err->message), source->sha256);
	return rc;
}

struct spec *verdict_parse(struct verdict *verdict, const struct verdict_context *context, const char *path,
			   const char *text, size_t len, struct spec_errors *errors)
{
	struct parsing parsing = {verdict, context};
	const struct spec_context spec_context = {
		.have_agent = context->have_agent,
		.has_recorded = on_recorded,
		.read_file = on_read,
		.arg = &parsing,
		.recalled = context->recalled,
	};

	verdict_clear(verdict);
	sha256_hex(text, len, verdict->text_sha256);
	return spec_parse(path, text, len, &spec_context, errors);
}

bool verdict_stands(const struct verdict *verdict, const struct verdict_context *context, const char *text,
		    size_t len, bool valid)
{
	char sha256[SHA256_HEX_SIZE];

	sha256_hex(text, len, sha256);
	if (strcmp(sha256, verdict->text_sha256) != 0 ||
	    !named_files_unchanged(context->named, verdict->read, verdict->read_n))
		return false;
	/* An empty list is valid only while containers are recorded. Once in force it stays valid, although
	 * it has removed them. */
	return valid || !verdict->asked ||
	       verdict->recorded == context->has_recorded(context->arg, context->name);
}
