/* apilbd --check: checks the spec directory, and does nothing else. */
#include "daemon/specs/specs_check.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"
#include "daemon/specs/spec_look.h"
#include "daemon/specs/specs.h"

/* Made printable: the names of files come from anybody who may write to the directory. */
static void complain(const char *prefix, const char *text)
{
	char *safe = text_printable(text, TEXT_LINE);

	fprintf(stderr, "%s%s\n", prefix, safe);
	free(safe);
}

static void complain_of(const struct specs *specs)
{
	size_t n;
	char *const *misnamed = specs_misnamed(specs, &n);
	const struct spec_file *const *files;

	for (size_t i = 0; i < n; i++)
		complain("apilbd: ", misnamed[i]);
	files = specs_files(specs, &n);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < files[i]->errors.n; j++) {
			char *text = spec_error_text(&files[i]->errors.v[j]);

			complain("", text);
			free(text);
		}
}

static void print_summary(const struct specs *specs, const char *dir)
{
	size_t n, instances = 0;
	const struct spec_file *const *files = specs_files(specs, &n);

	for (size_t i = 0; i < n; i++)
		instances += files[i]->spec->instances_n;
	printf("%s: %zu spec%s with %zu balancer%s, all valid\n", dir, n, n == 1 ? "" : "s", instances,
	       instances == 1 ? "" : "s");
}

bool specs_check(const char *dir)
{
	static const atomic_bool go_on;
	struct specs *specs = specs_new(NULL, NULL, getenv("SSH_AUTH_SOCK") != NULL);
	struct spec_look *look = specs_look(specs, dir);
	bool valid = false;

	spec_look_read(look, &go_on);
	if (look->listing.err.kind != ERR_NONE) {
		complain("apilbd: ", look->listing.err.message);
	} else {
		struct spec_update *update = specs_update_begin(specs, look);

		look = NULL;
		while (specs_update_files(update))
			continue;
		specs_update_end(update);
		complain_of(specs);
		valid = specs_all_valid(specs);
		if (valid)
			print_summary(specs, dir);
	}
	spec_look_free(look);
	specs_free(specs);
	return valid;
}
