/* Which balancers stay though no spec in force wants them, and why. */
#include <stdlib.h>

#include "common/mem.h"
#include "daemon/specs/specs.h"

const struct spec_file *specs_without_version(const struct specs *specs)
{
	size_t n;
	const struct spec_file *const *files = specs_files(specs, &n);

	for (size_t i = 0; i < n; i++)
		if (!files[i]->spec)
			return files[i];
	return NULL;
}

bool specs_may_remove(const struct specs *specs, const char *name)
{
	const struct spec_file *file = name ? specs_find(specs, name) : NULL;

	if (!specs_have_looked(specs))
		return false;
	if (name && !file)
		return !specs_without_version(specs);
	return !file || file->spec;
}

/* "/etc/apilb.d/a.yaml and 2 more files"; NULL: each file has a version in force. The caller frees. */
static char *files_without_version(const struct specs *specs)
{
	const struct spec_file *first = specs_without_version(specs);
	size_t n, without = 0;
	const struct spec_file *const *files = specs_files(specs, &n);

	for (size_t i = 0; i < n; i++)
		without += !files[i]->spec;
	if (without <= 1)
		return first ? xstrdup(first->path) : NULL;
	return xasprintf("%s and %zu more file%s", first->path, without - 1, without == 2 ? "" : "s");
}

char *specs_why_kept(const struct specs *specs, const char *name)
{
	const struct spec_file *file = specs_find(specs, name);
	char *files, *why;

	if (specs_may_remove(specs, name))
		return NULL;
	if (!specs_have_looked(specs))
		return xstrdup("kept: the spec directory has not been read yet");
	if (file)
		return xasprintf(
			"kept: no version of %s was ever valid, so nobody knows whether this balancer "
			"is wanted: correct or remove that file",
			file->path);
	files = files_without_version(specs);
	why = xasprintf("kept: the file of its spec is gone, but no version of %s was ever valid, and this "
			"balancer may be meant there: correct or remove what is invalid",
			files);
	free(files);
	return why;
}

char *specs_kept_warning(const struct specs *specs)
{
	char *files = files_without_version(specs), *warning;

	if (!files)
		return NULL;
	warning =
		xasprintf("no version of %s was ever valid, which may be a spec under a new name: until that "
			  "is corrected or removed, no balancer of a spec whose file is gone is removed",
			  files);
	free(files);
	return warning;
}
